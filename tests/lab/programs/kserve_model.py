"""The model that the lab's KServe serves. Run inside KServe's own environment; takes the model's name first."""

import sys
from typing import Any

from kserve import Model, ModelServer


class Doubling(Model):
    """Doubles the numbers that it is given."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.ready = True

    def predict(self, payload: dict[str, Any], headers: dict[str, str] | None = None) -> dict[str, Any]:
        """Answer one request."""
        return {"predictions": [2 * number for number in payload["instances"]]}

    def explain(self, payload: dict[str, Any], headers: dict[str, str] | None = None) -> dict[str, Any]:
        """Explain one answer."""
        return {"explanations": ["the double" for _ in payload["instances"]]}


model = Doubling(sys.argv.pop(1))  # before the server reads the flags
if __name__ == "__main__":
    ModelServer().start([model])
