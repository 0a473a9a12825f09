"""The model that the lab's MLServer serves. Run inside MLServer's own environment."""

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Doubling(MLModel):
    """Doubles the numbers that it is given."""

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer one request."""
        given = self.decode(payload.inputs[0], default_codec=NumpyCodec)
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("doubled", given * 2)])
