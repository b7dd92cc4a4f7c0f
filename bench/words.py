"""What the tables say, in the two languages of the documentation."""

from dataclasses import dataclass
from typing import Final

from bench.scenarios import PUSHERS_OF_BLOBS, PUSHERS_OF_TAGS, Scenario
from bench.sizes import MIB


@dataclass(frozen=True, slots=True)
class Words:
    """One language."""

    machine: str
    speed: tuple[str, ...]
    cost: tuple[str, ...]
    units: dict[str, str]
    logins: dict[str, str]
    connections: dict[bool, str]
    large_push: str
    large_pull: str
    small_blobs: str
    tags: str

    def title(self, scenario: Scenario) -> str:
        """The first cell of a scenario's row."""
        if scenario.load == "manifest":
            plural = self.connections[scenario.connections > 1].format(scenario.connections)
            return f"`{scenario.method}` manifest, {self.logins[scenario.login]}, {plural}"
        count = int(scenario.amount)
        return {
            "large-push": self.large_push.format(count // MIB),
            "large-pull": self.large_pull.format(count // MIB),
            "small-blobs": self.small_blobs.format(count, PUSHERS_OF_BLOBS),
            "tags": self.tags.format(count, PUSHERS_OF_TAGS),
        }[scenario.load]


ENGLISH: Final = Words(
    machine=(
        "{when}, {cpu}, {cores} cores, {memory_gib} GiB, Linux {kernel}, {filesystem}, load {load_before} beforehand; "
        "entrepot {entrepot} on Python {python}, {libc}; distribution {distribution}; {rounds} rounds."
    ),
    speed=(
        "Load",
        "entrepot",
        "distribution",
        "ratio (more is better)",
        "p50 / p99 in ms, entrepot",
        "p50 / p99 in ms, distribution",
    ),
    cost=(
        "Load",
        "CPU, entrepot",
        "CPU, distribution",
        "ratio (less is better)",
        "peak memory in MiB, entrepot",
        "peak memory in MiB, distribution",
        "driver, cores",
    ),
    units={"request": "request", "blob": "blob", "manifest": "manifest", "GiB": "GiB"},
    logins={"none": "no login", "basic": "password", "bearer": "token"},
    connections={False: "{} connection", True: "{} connections"},
    large_push="Push a blob of {} MiB, one `PUT`",
    large_pull="Pull a blob of {} MiB",
    small_blobs="Push {} blobs of 1 MiB, {} pushers",
    tags="Push {} manifests, each with its tag, into one repository, {} pushers",
)

CHINESE: Final = Words(
    machine=(
        "{when}，{cpu}，{cores} 核，{memory_gib} GiB，Linux {kernel}，{filesystem}，测试前的负载 {load_before}；"
        "entrepot {entrepot}，Python {python}，{libc}；distribution {distribution}；共 {rounds} 轮。"
    ),
    speed=(
        "负载",
        "entrepot",
        "distribution",
        "比值（越大越好）",
        "p50 / p99（毫秒），entrepot",
        "p50 / p99（毫秒），distribution",
    ),
    cost=(
        "负载",
        "CPU，entrepot",
        "CPU，distribution",
        "比值（越小越好）",
        "内存峰值（MiB），entrepot",
        "内存峰值（MiB），distribution",
        "驱动程序占用的核数",
    ),
    units={"request": "请求", "blob": "blob", "manifest": "清单", "GiB": "GiB"},
    logins={"none": "不登录", "basic": "密码", "bearer": "令牌"},
    connections={False: "{} 个连接", True: "{} 个连接"},
    large_push="推送一个 {} MiB 的 blob，单个 `PUT`",
    large_pull="拉取一个 {} MiB 的 blob",
    small_blobs="推送 {} 个 1 MiB 的 blob，{} 个推送者",
    tags="向同一个仓库推送 {} 个清单，各带一个标签，{} 个推送者",
)
