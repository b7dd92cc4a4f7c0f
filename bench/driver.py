"""The process that makes the load: for each job, a line on stdin, it answers with a line of figures on stdout."""

import sys

from bench.errors import WrongAnswer
from bench.jobs import Job
from bench.loads import LOADS


def main() -> int:
    """Run the jobs in order; the first wrong answer ends it with exit code 1 and is told on stderr."""
    for line in sys.stdin:
        job = Job.from_json(line)
        try:
            figures = LOADS[job.load].run(job)
        except (WrongAnswer, OSError) as failure:
            print(f"{type(failure).__name__}: {failure}", file=sys.stderr)
            return 1
        print(figures.to_json(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
