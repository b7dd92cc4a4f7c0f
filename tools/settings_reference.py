"""Write the reference of settings, docs/settings.md and its Chinese twin, from the options themselves.

With ``--check`` nothing is written; the exit code is 1 when a page differs from the options.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final

from entrepot.settings import Form, Option, options

DOCS: Final = Path(__file__).resolve().parent.parent / "docs"


@dataclass(frozen=True, slots=True)
class Language:
    """The words of one page; ``sentences`` maps keys to descriptions, ``defaults`` likewise for computed defaults."""

    page: str
    preamble: str
    head: tuple[str, ...]
    top_title: str
    section_titles: Mapping[str, str]
    units: Mapping[Form, str]
    none: str
    between: str
    from_file: str
    sentences: Mapping[str, str]
    defaults: Mapping[str, str]


_ENGLISH_SECTIONS: Final = {
    "admin": "The first administrator",
    "tokens": "Tokens",
    "oidc": "Logins by OpenID Connect",
    "ldap": "Logins by LDAP",
    "workload": "Logins of jobs and pods",
    "uploads": "Uploads",
    "manifests": "Manifests",
    "lists": "Lists",
    "http": "Connections",
    "storage": "Storage",
    "gc": "Collection",
    "jobs": "Jobs",
    "audit": "Audit",
    "log": "Log",
    "tls": "TLS",
}

_ENGLISH_UNITS: Final = {
    Form.ADDRESS: "host and port",
    Form.DIRECTORY: "directory",
    Form.FILE: "file",
    Form.DATABASE: "URL",
    Form.URL: "URL",
    Form.TEXT: "text",
    Form.CHOICE: "choice",
    Form.NUMBER: "number",
    Form.SWITCH: "yes or no",
    Form.DURATION: "duration",
    Form.SIZE: "bytes",
    Form.RATE: "bytes per second",
    Form.NETWORKS: "networks",
    Form.WORDS: "words",
    Form.TABLES: "tables",
}

_ENGLISH_PREAMBLE: Final = """\
# Settings

[中文](settings.zh-CN.md)

Every setting of `entrepot serve`. A flag goes before an environment variable, that before the settings file, that
before the default. `entrepot settings show` prints what is in effect and where each value came from,
`entrepot settings check` says whether the server could start with it, `entrepot settings schema` prints a JSON Schema
for editors.

- The file is in TOML: `--config FILE`, else `/etc/entrepot/entrepot.toml` if it is there. A key with a dot stands in a
  table: `uploads.lease` is `lease` in `[uploads]`.
- A variable's name is `ENTREPOT_` and the key in capitals, with two underscores for the dot. Lists are separated by
  commas, lists of tables are written in JSON; an empty variable takes away a value that may be absent. Unknown
  `ENTREPOT_` variables are refused, but those of the client (`ENTREPOT_CLIENT_…`) and those that Kubernetes makes for
  services are left alone.
- A value that may hold a secret can also lie in a file, whose path the variable with `_FILE` at its end gives, or the
  key with `_file` at its end.
- Durations are written `"250ms"`, `"30s"`, `"5m"`, `"1h30m"`, `"7d"`; sizes `"512B"`, `"32KiB"` (1024), `"1GB"`
  (1000³), or as a number of bytes. Paths that are not absolute begin at the working directory.
- What cannot be used is said in one line per setting, with where it came from, and exit code 2.
"""

_CHINESE_PREAMBLE: Final = """\
# 设置

[English](settings.md)

`entrepot serve` 的全部设置。命令行选项优先于环境变量,环境变量优先于设置文件,设置文件优先于默认值。
`entrepot settings show` 显示生效的值及其来源,`entrepot settings check` 检查服务器能否以这些设置启动,
`entrepot settings schema` 输出供编辑器使用的 JSON Schema。

- 设置文件为 TOML 格式:由 `--config FILE` 指定;未指定时,若 `/etc/entrepot/entrepot.toml` 存在则读取它。
  带点的键写在表中:`uploads.lease` 即 `[uploads]` 里的 `lease`。
- 环境变量名为 `ENTREPOT_` 加大写的键,点写作两个下划线。列表用逗号分隔,表的列表写作 JSON;
  对可以没有值的设置,空变量表示取消其值。
  未知的 `ENTREPOT_` 变量会被拒绝;客户端的变量(`ENTREPOT_CLIENT_…`)和 Kubernetes 为服务生成的变量不受影响。
- 可能含有机密的值也可以放在文件里,由以 `_FILE` 结尾的变量或以 `_file` 结尾的键给出该文件的路径。
- 时长写作 `"250ms"`、`"30s"`、`"5m"`、`"1h30m"`、`"7d"`;大小写作 `"512B"`、`"32KiB"`(1024)、`"1GB"`(1000³),
  或直接写字节数。相对路径以工作目录为起点。
- 无法使用的设置每项报告一行,并注明来源,退出码为 2。
"""

_CHINESE_SECTIONS: Final = {
    "admin": "首个管理员",
    "tokens": "令牌",
    "oidc": "OpenID Connect 登录",
    "ldap": "LDAP 登录",
    "workload": "任务与 Pod 的登录",
    "uploads": "上传",
    "manifests": "清单",
    "lists": "列表",
    "http": "连接",
    "storage": "存储",
    "gc": "垃圾回收",
    "jobs": "后台任务",
    "audit": "审计",
    "log": "日志",
    "tls": "TLS",
}

_CHINESE_UNITS: Final = {
    Form.ADDRESS: "主机和端口",
    Form.DIRECTORY: "目录",
    Form.FILE: "文件",
    Form.DATABASE: "URL",
    Form.URL: "URL",
    Form.TEXT: "文本",
    Form.CHOICE: "选项",
    Form.NUMBER: "整数",
    Form.SWITCH: "是或否",
    Form.DURATION: "时长",
    Form.SIZE: "字节",
    Form.RATE: "字节每秒",
    Form.NETWORKS: "网络",
    Form.WORDS: "词列表",
    Form.TABLES: "表的列表",
}

_CHINESE_SENTENCES: Final = {
    "listen": "客户端访问镜像仓库的地址。",
    "ops_listen": "无需凭据即可查看健康状态和指标的地址,例如 `127.0.0.1:5001`;不应对公众开放。",
    "data": "存放全部数据的目录;不存在时自动创建。",
    "database": "元数据的位置:`sqlite:////absolute/path` 或 `postgresql://user:password@host/database`。",
    "anonymous": "没有凭据的客户端可以做什么;`push` 包含拉取。",
    "workers": "处理请求的进程数。",
    "public_url": "客户端所知的地址,例如 `https://registry.example.com`;设置后用于重定向和认证质询。",
    "path_prefix": "`/v2/` 之前的路径,例如 `/registry`,用于原样转发路径的代理。",
    "service": "令牌中的服务名称(令牌的受众)。",
    "trusted_proxies": "受信任的代理所在的网络;只采信它们的 `X-Forwarded-For` 和 `X-Forwarded-Proto`。",
    "admin.password_file": "存放用户 `admin` 密码的文件,每次启动时都会设为该密码;"
    "未指定时,新的镜像仓库在 SQLite 上自动生成密码,在 PostgreSQL 上则必须指定。",
    "tokens.lifetime": "令牌的有效期;不足一分钟的值仅供测试,因为客户端会把它当作一分钟。",
    "tokens.refresh_lifetime": "刷新令牌的有效期;客户端凭刷新令牌无需密码即可取得令牌。",
    "tokens.session_lifetime": "浏览器登录状态的有效期。",
    "tokens.rotate_every": "一个密钥签发令牌多久之后由下一个密钥接替。",
    "tokens.key_file": "用于加密数据库中令牌签名密钥的密钥文件;未指定时签名密钥以明文保存。",
    "oidc.issuer": "供用户登录的 OpenID 提供方,与其自称完全一致,例如 `https://login.example.com/realms/main`。",
    "oidc.client_id": "本镜像仓库在该提供方的客户端。",
    "oidc.client_secret": "该客户端的密钥;公共客户端没有密钥。",
    "oidc.scopes": "请求的范围;其中必须有 `openid`。",
    "oidc.username_claim": "含有登录者名称的声明。",
    "oidc.groups_claim": "含有其所属组名称的声明;没有该声明则不属于任何组。",
    "oidc.admin_group": "该提供方中的一个组,其成员是本镜像仓库的管理员。",
    "oidc.ca_file": "PEM 格式的证书颁发机构文件;验证该提供方时只信任它们。",
    "oidc.allow_http": "是否允许不经 TLS 访问本机以外的提供方。",
    "ldap.url": "用于验证密码的目录:`ldaps://HOST[:PORT]` 或 `ldap://HOST[:PORT]`。",
    "ldap.start_tls": "`ldap://` 是否先进行 StartTLS;否则密码以明文传输。",
    "ldap.ca_file": "PEM 格式的证书颁发机构文件;验证该目录时只信任它们。",
    "ldap.bind_dn": "执行搜索的账户,例如 `cn=registry,dc=example,dc=com`;未设置时匿名搜索。",
    "ldap.bind_password": "`ldap.bind_dn` 的密码。",
    "ldap.base_dn": "在哪个条目之下查找用户。",
    "ldap.user_filter": "如何查找用户;`{username}` 处填入用户名。",
    "ldap.name_attribute": "含有用户名称的属性;Active Directory 中为 `sAMAccountName`。",
    "ldap.group_base_dn": "哪个条目之下的组有效;未设置时为 `ldap.base_dn` 之下。",
    "ldap.group_filter": "如何查找 `{dn}` 或 `{username}` 的组,例如 `(member={dn})`;未设置时采用 `memberOf`。",
    "ldap.group_attribute": "含有组名称的属性;`dn` 表示完整的可分辨名称。",
    "ldap.admin_group": "该目录中的一个组,其成员是本镜像仓库的管理员。",
    "ldap.timeout": "目录处理一次登录最多可用多长时间。",
    "workload.issuers": "信任哪些颁发者的令牌:`issuer`、令牌必须面向的 `audience`,"
    "以及需要时存放其密钥的 `jwks_file` 和存放其证书颁发机构的 `ca_file`。",
    "uploads.session_lifetime": "上传会话在最后一次写入之后还能继续多久。",
    "uploads.lease": "没有被任何清单或标签引用的内容保留多久;应长于推送整个镜像的最长时间。",
    "uploads.checkpoint_bytes": "请求体每到达多少字节就持久化一次,使上传可以从该处继续。",
    "uploads.checkpoint_interval": "接收请求体时每隔多久持久化一次。",
    "uploads.blob_bytes_at_most": "可推送的最大 blob;超出时返回 413。",
    "uploads.retry_window": "上传完成后多久之内,对最后一个请求的重复仍给出同样的应答,供丢失应答的客户端使用。",
    "uploads.sessions_at_most_per_principal": "一个用户最多可以打开多少个上传会话;超出时返回 429。",
    "manifests.bytes_at_most": "可推送的最大清单;超出时返回 413。",
    "manifests.cache_bytes": "每个工作进程用于缓存已拉取清单的内存。",
    "manifests.missing_blobs": "清单引用了仓库中没有的 blob 时:`refuse` 拒绝,`accept` 接受这样的稀疏镜像。",
    "lists.page": "客户端未指定时每页的条目数。",
    "lists.page_at_most": "每页条目数的上限。",
    "http.header_bytes": "请求行与全部请求头的总大小上限;超出时返回 431。",
    "http.header_timeout": "客户端发送一个请求的请求头最多可用多长时间。",
    "http.idle_timeout": "连接在两个请求之间最多可以等待多久。",
    "http.minimum_rate": "发送或读取低于此速率(每秒字节数)的连接会被断开。",
    "http.rate_window": "计算最低速率所用的时间窗口。",
    "http.graceful_stop": "服务器收到停止信号后,正在处理的请求还可以继续多久。",
    "http.connections_at_most": "每个工作进程最多打开的连接数;再多的连接会得到 503。",
    "storage.reserve": "可用空间低于此值时拒绝上传(507),以便数据库仍可写入。",
    "storage.allow_network_filesystem": "即使 SQLite 数据库位于网络文件系统上也启动;那里的锁可能不可靠。",
    "gc.schedule": "何时处理到期的回收:UTC 的 cron 表达式,例如 `*/5 1-5 * * *`。",
    "gc.sweep_schedule": "何时在所有行和存储的所有对象中查找遗漏的内容:UTC 的 cron 表达式。",
    "gc.review_after": "与清单或 blob 有关的最后一个事件之后多久进行复查;复查可能将其移除。",
    "gc.delete_after": "移除 blob 之后多久删除其字节;应长于最长的一次下载。",
    "gc.untagged": "没有标签和索引指向的清单如何处理:`keep` 永久保留,`collect` 回收。",
    "gc.untagged_after": "这样的清单在失去最后一个引用(或被推送)之后还保留多久。",
    "gc.pulled_within": "这样的清单在最后一次被拉取之后还保留多久(有人固定使用其摘要);`0s` 表示不考虑拉取。",
    "gc.unknown_after": "数据库不知道的对象在存储中保留多久。",
    "jobs.in_serve": "`entrepot serve` 是否同时运行任务工作进程;`--no-worker` 表示否,"
    "适用于另行运行 `entrepot worker` 的情况。",
    "jobs.concurrency": "一个工作进程同时运行的任务数。",
    "jobs.poll_interval": "工作进程每隔多久查看是否有到期的任务。",
    "jobs.lease": "工作进程失去音讯多久之后,它的任务由其他工作进程重新开始。",
    "jobs.history": "已结束的任务及其日志可以查看多久;按计划完成的任务,每种只保留最近 1,000 个。",
    "audit.keep": "审计记录保留多久。",
    "audit.rows_at_most": "最多保留多少条审计记录,每条约 300 字节;最旧的先删除。",
    "log.level": "从哪个级别开始记录事件。",
    "tls.certificate": "PEM 格式的证书链文件,服务器自身的证书在最前。",
    "tls.key": "PEM 格式的证书私钥文件。",
    "tls.client_ca": "PEM 格式的机构证书文件,由它们签发的客户端证书可以登录账号;不设置则不要求客户端证书。",
    "tls.client_required": "没有这种证书的连接是否被拒绝。",
    "tls.client_identity": "客户端证书的哪个字段是账号名称:主体的通用名,或该类型中唯一的备用名称。",
    "tls.redirect_listen": "在哪里用重定向回答明文 HTTP,指向使用 TLS 的地址。",
    "tls.hsts": "告诉浏览器在多长时间内只通过 TLS 访问;0s 表示不告知。",
}

_CHINESE_DEFAULTS: Final = {
    "data": "`$XDG_DATA_HOME/entrepot`;root 用户为 `/var/lib/entrepot`",
    "database": "SQLite:数据目录中的 `entrepot.db`",
    "service": "`public_url` 的主机和端口,否则为 `entrepot`",
}


def english() -> Language:
    """The page in English, whose sentences are those of the options."""
    return Language(
        page="settings.md",
        preamble=_ENGLISH_PREAMBLE,
        head=("Key", "Default", "Kind", "Variable", "Flag", "What it is"),
        top_title="Outside tables",
        section_titles=_ENGLISH_SECTIONS,
        units=_ENGLISH_UNITS,
        none="none",
        between="{} to {}",
        from_file="or `{}`",
        sentences={option.key: option.description for option in options()},
        defaults={option.key: option.default_words for option in options() if option.default_words},
    )


def chinese() -> Language:
    """The page in Chinese."""
    return Language(
        page="settings.zh-CN.md",
        preamble=_CHINESE_PREAMBLE,
        head=("键", "默认值", "类型", "环境变量", "命令行选项", "说明"),
        top_title="表外的设置",
        section_titles=_CHINESE_SECTIONS,
        units=_CHINESE_UNITS,
        none="无",
        between="{} 至 {}",
        from_file="或 `{}`",
        sentences=_CHINESE_SENTENCES,
        defaults=_CHINESE_DEFAULTS,
    )


def page(language: Language) -> str:
    """The text of a page; raises KeyError for an option that it has no words for."""
    parts = [language.preamble]
    for section, members in groupby(options(), key=lambda option: option.key.rpartition(".")[0]):
        title = f"{language.section_titles[section]}: `[{section}]`" if section else language.top_title
        rows = [_row(option, language) for option in members]
        parts.append("\n".join([f"## {title}\n", _line(language.head), _line(["---"] * len(language.head)), *rows, ""]))
    return "\n".join(parts)


def _row(option: Option, language: Language) -> str:
    unit = language.units[option.form]
    if option.choices:
        unit = " · ".join(f"`{choice}`" for choice in option.choices)
    elif option.at_least is not None:
        unit += ", " + language.between.format(option.at_least, option.at_most)
    variable = f"`{option.environment}`"
    if option.environment_file is not None:
        variable += " " + language.from_file.format(option.environment_file)
    if option.default_words is not None:
        default = language.defaults[option.key]
    elif option.default:
        default = f"`{option.default}`"
    else:
        default = language.none
    flag = f"`{option.flag}`" if option.flag else ""
    return _line([f"`{option.key}`", default, unit, variable, flag, language.sentences[option.key]])


def _line(cells: tuple[str, ...] | list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main(arguments: list[str]) -> int:
    """Write or check both pages; returns the exit code."""
    outdated = 0
    for language in (english(), chinese()):
        path, text = DOCS / language.page, page(language)
        if arguments != ["--check"]:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            print(f"{path.name} differs from the options; run: python tools/settings_reference.py", file=sys.stderr)
            outdated = 1
    return outdated


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
