"""What ends a benchmark: something that does not run, or an answer that is wrong. Being slow never does."""


class BenchFailed(Exception):
    """The run ends here; the message says where and why."""


class WrongAnswer(BenchFailed):
    """A registry answered with another status, digest or content than it should have."""
