"""The process that makes the load: reads a job from stdin, writes figures to stdout; exit code 1 for a wrong answer."""

import sys

from bench.errors import WrongAnswer
from bench.jobs import Job
from bench.loads import LOADS


def main() -> int:
    """Run one job."""
    job = Job.from_json(sys.stdin.read())
    try:
        figures = LOADS[job.load].run(job)
    except (WrongAnswer, OSError) as failure:
        print(f"{type(failure).__name__}: {failure}", file=sys.stderr)
        return 1
    print(figures.to_json())
    return 0


if __name__ == "__main__":
    sys.exit(main())
