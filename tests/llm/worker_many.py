"""Makes many calls in one process, each as the worker makes its only one: lines of JSON on stdin, an answer per line on stdout.

litellm takes seconds to import; a table of faults needs it once.
"""

import json
import sys

from marketbot_resources import llm_worker

if __name__ == "__main__":
    calls = [llm_worker.Call(**json.loads(line)) for line in sys.stdin]
    llm_worker._hold_to_bounds()
    llm_worker._stay_with(frozenset({"127.0.0.1"}))
    for call in calls:
        sys.stdout.write(llm_worker.written(llm_worker.answer(call)).decode())
        sys.stdout.flush()
