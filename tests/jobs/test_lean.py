"""What a process does not use it should not carry: an hourly pod pays for it in memory and in time."""

import subprocess
import sys


def test_arrays_are_made_without_pandas_which_can_still_be_imported() -> None:
    """pyarrow imports it at the first array it makes; nothing that a snapshot does needs it."""
    program = (
        "import sys\n"
        "from jobs.lean import leave_pandas_out\n"
        "leave_pandas_out()\n"
        "import numpy as np, pyarrow as pa\n"
        "table = pa.table({'a': pa.array(np.arange(3), mask=np.array([True, False, False])), 'b': ['x', 'y', None]})\n"
        "print(table.column('a').to_pylist(), table.column('b').chunk(0).to_numpy(zero_copy_only=False).tolist())\n"
        "print('pandas' in sys.modules)\n"
        "import pandas\n"
        "print(pandas.DataFrame({'a': [1]}).shape)\n"
    )

    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert ran.stdout.splitlines() == ["[None, 1, 2] ['x', 'y', None]", "False", "(1, 1)"]


def test_a_process_that_has_pandas_keeps_it() -> None:
    program = (
        "import pandas, pyarrow as pa\n"
        "from jobs.lean import leave_pandas_out\n"
        "leave_pandas_out()\n"
        "print(pa.table({'a': [1]}).to_pandas().shape)\n"
    )

    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert ran.stdout == "(1, 1)\n"
