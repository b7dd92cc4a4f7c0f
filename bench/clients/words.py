"""What the tables of the clients say, in the two languages of the documentation."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Words:
    """One language; titles are filled in with the settings of the run."""

    machine: str
    time: str
    cpu: str
    memory: str
    ratio: str
    titles: dict[str, str]


ENGLISH: Final = Words(
    machine=(
        "{when}, {cpu}, {cores} cores, {memory_gib} GiB, Linux {kernel}, {filesystem}, load {load_before} beforehand; "
        "entrepot {entrepot} on Python {python}, skopeo {skopeo}, crane {crane}, oras {oras}; to and from distribution "
        "{distribution}; {rounds} rounds."
    ),
    time="Time",
    cpu="CPU of the client",
    memory="Peak memory / requests",
    ratio="entrepot to the least of the others",
    titles={
        "start": "Start: print the version",
        "resolve": "Ask for one digest",
        "push-large": "Push one layer of {large_layer_mib} MiB",
        "pull-large": "Pull one layer of {large_layer_mib} MiB",
        "push-many": "Push {layers} layers of {layer_mib} MiB",
        "pull-many": "Pull {layers} layers of {layer_mib} MiB",
        "copy-unchanged": "Copy {tags} tags that are all there",
    },
)

CHINESE: Final = Words(
    machine=(
        "{when}，{cpu}，{cores} 核，{memory_gib} GiB，Linux {kernel}，{filesystem}，测试前的负载 {load_before}；"
        "entrepot {entrepot}，Python {python}，skopeo {skopeo}，crane {crane}，oras {oras}；对端是 distribution "
        "{distribution}；共 {rounds} 轮。"
    ),
    time="时间",
    cpu="客户端的 CPU",
    memory="内存峰值 / 请求数",
    ratio="entrepot 与其余最小者之比",
    titles={
        "start": "启动：打印版本",
        "resolve": "查询一个摘要",
        "push-large": "推送一个 {large_layer_mib} MiB 的层",
        "pull-large": "拉取一个 {large_layer_mib} MiB 的层",
        "push-many": "推送 {layers} 个 {layer_mib} MiB 的层",
        "pull-many": "拉取 {layers} 个 {layer_mib} MiB 的层",
        "copy-unchanged": "复制 {tags} 个全部已存在的标签",
    },
)
