"""Bad networks and bad servers: what they do to pushes and pulls, and what is told of it."""

import random
import secrets
import time
from collections.abc import AsyncGenerator, Generator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from bench import registries
from client.conftest import Peer
from client.counting_proxy import counting_proxy
from client.faulty_proxy import (
    Act,
    Fault,
    FaultyProxy,
    answering,
    endless,
    faulty_proxy,
    flipped,
    stalled,
    stalled_after,
    status,
    without,
)
from client.layouts import MANIFEST, MadeLayout, blobs_of
from entrepot.client.client import Client
from entrepot.client.credentials import Credentials, GivenCredentials
from entrepot.client.errors import (
    ClientError,
    DigestMismatch,
    LyingRegistry,
    NetworkFailure,
    RateLimited,
    RegistryRefused,
    ServerFailure,
)
from entrepot.client.targets.registry import ChunkSize, UploadSettings
from entrepot.client.targets.registry.saved_uploads import SavedUploads
from entrepot.client.transport import Patience
from entrepot.secrets import Secret

QUICK = Patience(
    retries=3,
    first_pause=timedelta(milliseconds=30),
    wait_at_most=timedelta(seconds=10),
    connect=timedelta(seconds=5),
    idle=timedelta(seconds=0.7),
    answer=timedelta(seconds=5),
)
SIZE = 20_000_000  # more than one range


@pytest.fixture
def proxy(ours: Peer) -> Generator[FaultyProxy, None, None]:
    """Before a registry that is open to everybody."""
    with faulty_proxy(ours.address) as made:
        yield made


@pytest.fixture
async def client(tmp_path: Path) -> AsyncGenerator[Client, None]:
    """A client that loses its patience soon."""
    async with Client(patience=QUICK, saved_uploads=SavedUploads(tmp_path / "state")) as made:
        yield made


@pytest.fixture
def made(tmp_path: Path) -> MadeLayout:
    """An image with one large layer and a small one."""
    layout = MadeLayout(tmp_path / "made")
    layout.write(v1=layout.image(SIZE, 1000))
    return layout


@pytest.fixture
async def there(ours: Peer, made: MadeLayout, client: Client) -> str:
    """The repository that has the image."""
    name = ours.fresh().partition("/")[2]
    await client.copy(f"oci:{made.folder}:v1", f"{ours.address}/{name}:v1")
    return name


def large(made: MadeLayout) -> str:
    """The digest of the large layer."""
    return made.digests[0]


async def push(client: Client, made: MadeLayout, proxy: FaultyProxy) -> str:
    """Push the image through the proxy; the new repository."""
    target = f"{proxy.address}/team/{secrets.token_hex(5)}"
    await client.copy(f"oci:{made.folder}:v1", f"{target}:v1")
    return target


class TestPushes:
    """Uploads go on, or end with what is wrong."""

    async def test_large_bodies_are_cut_by_themselves(
        self, client: Client, made: MadeLayout, proxy: FaultyProxy
    ) -> None:
        """What a proxy refuses as too large is sent in chunks that it takes."""
        refusal = status(413, {"Server": "cloudflare"})
        proxy.faults = [Fault(refusal, at_least=6_000_000)]
        target = await push(client, made, proxy)
        assert max(one.length for one in proxy.seen if one.method == "PATCH") <= 6_000_000
        assert str((await client.resolve(f"{target}:v1")).digest) == made.digests[-1]

    async def test_bodies_that_are_never_small_enough(
        self, client: Client, made: MadeLayout, proxy: FaultyProxy
    ) -> None:
        """Are told with who refused them."""
        proxy.faults = [Fault(status(413, {"Server": "cloudflare"}), at_least=1_000_000)]
        with pytest.raises(RegistryRefused) as refused:
            await push(client, made, proxy)
        told = " ".join(refused.value.lines())
        assert "refuses large bodies" in told
        assert "Server: cloudflare" in told

    @pytest.mark.parametrize("code", [500, 502, 503])
    async def test_a_failure_now_and_then(
        self, client: Client, made: MadeLayout, proxy: FaultyProxy, code: int
    ) -> None:
        """Is tried again, wherever it happens."""
        proxy.faults = [
            Fault(status(code), method, times=1) for method in ("HEAD", "POST", "PUT", "PATCH", "GET", "HEAD")
        ]
        target = await push(client, made, proxy)
        assert str((await client.resolve(f"{target}:v1")).digest) == made.digests[-1]

    async def test_a_failure_for_good(self, client: Client, made: MadeLayout, proxy: FaultyProxy) -> None:
        """Ends after some attempts, with the registry's words and the request's id."""
        body = '{"errors": [{"code": "UNKNOWN", "message": "the disk is gone\\u001b[2J"}]}'
        proxy.faults = [Fault(status(503, {"X-Request-Id": "r-17"}, body), "POST")]
        with pytest.raises(ServerFailure) as failed:
            await push(client, made, proxy)
        told = " ".join(failed.value.lines())
        assert "the disk is gone" in told
        assert "r-17" in told
        assert "\x1b" not in told
        assert len([one for one in proxy.seen if one.method == "POST"]) <= 3 * (QUICK.retries + 1)

    async def test_sessions_that_are_forgotten(self, client: Client, made: MadeLayout, proxy: FaultyProxy) -> None:
        """Are begun anew."""
        cut = Client(
            patience=QUICK,
            uploads=UploadSettings(ChunkSize(5_000_000, is_automatic=False)),
            saved_uploads=SavedUploads(made.folder / "state"),
        )
        proxy.faults = [Fault(status(404), "PATCH", times=1, at_least=2_000_000)]
        async with cut:
            target = await push(cut, made, proxy)
        assert str((await client.resolve(f"{target}:v1")).digest) == made.digests[-1]
        assert len([one for one in proxy.seen if one.method == "POST" and "uploads" in one.path]) == 4

    async def test_chunks_are_as_long_as_the_registry_wants(self, made: MadeLayout, proxy: FaultyProxy) -> None:
        """``OCI-Chunk-Min-Length`` counts more than a chunk size that is smaller."""
        cut = Client(
            patience=QUICK,
            uploads=UploadSettings(ChunkSize(1_000_000, is_automatic=False)),
            saved_uploads=SavedUploads(made.folder / "state"),
        )
        proxy.faults = [Fault(answering({"OCI-Chunk-Min-Length": "5000000"}), "POST")]
        async with cut:
            await push(cut, made, proxy)
        lengths = [one.length for one in proxy.seen if one.method == "PATCH"]
        assert lengths == [5_000_000] * 4

    @pytest.mark.parametrize("seed", range(4))
    async def test_connections_reset_at_any_byte(self, client: Client, made: MadeLayout, ours: Peer, seed: int) -> None:
        """Up and down: what arrives is what was sent."""
        chance = random.Random(seed)  # ruff: ignore[suspicious-non-cryptographic-random-usage]  to be had again
        with counting_proxy(ours.address) as breaking:
            breaking.breaks = [chance.randrange(1000, SIZE // 2) for _ in range(2)]
            name = f"127.0.0.1:{breaking.port}/team/{secrets.token_hex(5)}:v1"
            await client.copy(f"oci:{made.folder}:v1", name)
            breaking.breaks_down = [chance.randrange(300, SIZE // 8) for _ in range(3)]
            await client.copy(name, f"oci:{made.folder.parent / 'back'}:v1")
        assert blobs_of(made.folder.parent / "back") == set(made.digests)


class TestPatience:
    """429 and ``Retry-After``."""

    @pytest.mark.parametrize("form", ["seconds", "date"])
    async def test_the_whole_host_is_left_alone(
        self, client: Client, made: MadeLayout, proxy: FaultyProxy, form: str
    ) -> None:
        """For as long as it says, in seconds or until a date by its own clock."""
        now = datetime.now(UTC) - timedelta(hours=3)
        headers = {"Retry-After": "1"}
        if form == "date":
            headers = {"Retry-After": format_datetime(now + timedelta(seconds=1)), "Date": format_datetime(now)}
        proxy.faults = [Fault(status(429, headers), "POST", times=1)]
        await push(client, made, proxy)
        times = [one.at for one in proxy.seen]
        refused = next(one.at for one in proxy.seen if one.method == "POST")
        # What was on its way with it has come; then there is a pause for all.
        assert not [at for at in times if refused + 0.3 < at < refused + 0.95]

    async def test_not_longer_than_somebody_waits(self, client: Client, made: MadeLayout, proxy: FaultyProxy) -> None:
        """Else it ends at once, and says how long it would have been."""
        limits = {"Retry-After": "3600", "RateLimit-Limit": "100;w=21600", "RateLimit-Remaining": "0;w=21600"}
        proxy.faults = [Fault(status(429, limits), "POST")]
        began = time.monotonic()
        with pytest.raises(RateLimited) as limited:
            await push(client, made, proxy)
        assert time.monotonic() - began < 5
        assert limited.value.retry_after == timedelta(hours=1)
        assert "RateLimit-Remaining: 0" in " ".join(limited.value.lines())


class TestPulls:
    """Downloads go on, or end with what is wrong and leave nothing that is."""

    async def pull(self, client: Client, proxy: FaultyProxy, there: str, made: MadeLayout) -> Path:
        """Pull the image through the proxy."""
        back = made.folder.parent / "back"
        await client.copy(f"{proxy.address}/{there}:v1", f"oci:{back}:v1")
        assert blobs_of(back) == set(made.digests)
        return back

    @pytest.mark.parametrize(
        "fault",
        [
            Fault(status(502), "GET", "/blobs/", times=2),
            Fault(without("range"), "GET", "/blobs/"),
            Fault(stalled(1.5), "GET", "/blobs/", times=1),
            Fault(stalled_after(100, 2), "GET", "/manifests/", times=1),
        ],
        ids=["502", "ranges ignored", "silence", "silence in the middle"],
    )
    async def test_what_is_overcome(
        self, client: Client, made: MadeLayout, proxy: FaultyProxy, there: str, fault: Fault
    ) -> None:
        """Failures, silence, and registries that know no ranges."""
        proxy.faults = [Fault(fault.act, fault.method, fault.part, fault.times)]
        if fault.part == "/manifests/":
            with pytest.raises(NetworkFailure):
                await self.pull(client, proxy, there, made)
        await self.pull(client, proxy, there, made)

    @pytest.mark.parametrize(
        ("act", "part", "kind", "said"),
        [
            (flipped(SIZE // 2), "/blobs/LARGE", DigestMismatch, "wanted sha256:"),
            (flipped(3), "/manifests/", DigestMismatch, "wanted sha256:"),
            (answering({"Content-Range": "bytes 0-99/100"}), "/blobs/LARGE", LyingRegistry, "Content-Range"),
            (endless(), "/blobs/LARGE", DigestMismatch, "wanted sha256:"),
            (endless(MANIFEST), "/manifests/", LyingRegistry, "more than"),
            (status(307, {"Location": "/v2/loop"}), "/v2/", LyingRegistry, "redirects without end"),
            (status(307, {"Location": "ftp://localhost/x"}), "/blobs/", LyingRegistry, "no place to be sent to"),
            (status(200, {"Content-Type": "text/html"}, "<html>log in</html>"), "/manifests/", ClientError, ""),
        ],
        ids=["blob", "manifest", "range", "endless blob", "endless manifest", "loop", "elsewhere", "captive portal"],
    )
    async def test_lies_are_refused(
        self,
        client: Client,
        made: MadeLayout,
        proxy: FaultyProxy,
        there: str,
        act: Act,
        part: str,
        kind: type[ClientError],
        said: str,
    ) -> None:
        """With the evidence; nothing has its name that is not what the name says, and little was listened to."""
        proxy.faults = [Fault(act, "GET", part.replace("LARGE", large(made)))]
        back = made.folder.parent / "back"
        with pytest.raises(kind) as lied:
            await client.copy(f"{proxy.address}/{there}:v1", f"oci:{back}:v1")
        assert said in " ".join(lied.value.lines())
        assert proxy.sent_down < 5 * SIZE
        if back.exists():
            assert large(made) not in (blobs_of(back) if (back / "blobs").exists() else set())
            names = [path.name for path in back.rglob("*") if path.is_file()]
            assert not [name for name in names if "partial" in name and kind is DigestMismatch and "LARGE" in part]


class TestCredentials:
    """They go to the registry, and to nobody that it sends us to."""

    @pytest.fixture
    def registry(self, ours_with_login: Peer) -> Generator[FaultyProxy, None, None]:
        """Before a registry that wants a login."""
        with faulty_proxy(ours_with_login.address) as made:
            yield made

    @pytest.fixture
    def stranger(self, ours: Peer) -> Generator[FaultyProxy, None, None]:
        """Another server, by another name."""
        with faulty_proxy(ours.address) as made:
            yield made

    @pytest.fixture
    async def known(self, tmp_path: Path) -> AsyncGenerator[Client, None]:
        """A client that has the registry's password."""
        given = GivenCredentials(Credentials(registries.USER, Secret(registries.PASSWORD)))
        async with Client(given, patience=QUICK, saved_uploads=SavedUploads(tmp_path / "known")) as made:
            yield made

    async def test_not_by_a_redirect(
        self, known: Client, made: MadeLayout, registry: FaultyProxy, stranger: FaultyProxy, ours: Peer, there: str
    ) -> None:
        """The bytes come from where the registry sends us; nothing about us goes there."""
        target = f"{registry.address}/{there}"
        await known.copy(f"oci:{made.folder}:v1", f"{target}:v1")
        away = f"http://localhost:{stranger.port}/v2/{there}/blobs/{large(made)}"
        registry.faults = [Fault(status(307, {"Location": away}), "GET", f"/blobs/{large(made)}")]
        await known.copy(f"{target}:v1", f"oci:{made.folder.parent / 'back'}:v1")
        assert blobs_of(made.folder.parent / "back") == set(made.digests)
        assert stranger.seen
        assert not [one for one in stranger.seen if "Authorization" in one.headers]

    async def test_not_by_the_place_of_an_upload(
        self, known: Client, made: MadeLayout, registry: FaultyProxy, stranger: FaultyProxy
    ) -> None:
        """An upload goes where the registry says, without a password or a token."""
        away = f"http://localhost:{stranger.port}/v2/team/app/blobs/uploads/x"
        registry.faults = [Fault(status(202, {"Location": away}), "POST")]
        stranger.faults = [Fault(status(201), "PUT")]
        with pytest.raises(ClientError):
            await known.copy(f"oci:{made.folder}:v1", f"{registry.address}/team/app:v1")
        assert [one for one in stranger.seen if one.method == "PUT"]
        assert not [one for one in stranger.seen if "Authorization" in one.headers]
        saved = [file.read_text() for file in made.folder.parent.rglob("known/*.json")]
        assert not [text for text in saved if "localhost" in text]

    async def test_not_to_a_token_service_without_tls(
        self, known: Client, registry: FaultyProxy, stranger: FaultyProxy
    ) -> None:
        """On another host, a password would be read by everybody between."""
        realm = f'Bearer realm="http://localhost:{stranger.port}/token",service="x"'
        registry.faults = [Fault(status(401, {"WWW-Authenticate": realm}))]
        with pytest.raises(LyingRegistry, match="cannot be true"):
            await known.tags(f"{registry.address}/team/app")
        assert not stranger.seen

    async def test_not_from_a_token_service_to_another(
        self, known: Client, registry: FaultyProxy, stranger: FaultyProxy
    ) -> None:
        """A token service that sends us elsewhere gets no password carried there."""
        away = f"http://localhost:{stranger.port}/token"
        registry.faults = [Fault(status(307, {"Location": away}), "GET", "/token")]
        with pytest.raises(ClientError):
            await known.tags(f"{registry.address}/team/app")
        assert not [one for one in stranger.seen if "Authorization" in one.headers]

    async def test_a_token_that_ends_in_the_middle(
        self, known: Client, made: MadeLayout, registry: FaultyProxy
    ) -> None:
        """Is replaced by a new one, and the transfer goes on."""
        target = f"{registry.address}/team/{secrets.token_hex(5)}"
        expired = {
            "WWW-Authenticate": f'Bearer realm="http://{registry.address}/token",service="x",error="invalid_token"'
        }
        registry.faults = [Fault(status(401, expired), method, times=1) for method in ("PUT", "POST")]
        await known.copy(f"oci:{made.folder}:v1", f"{target}:v1")
        assert str((await known.resolve(f"{target}:v1")).digest) == made.digests[-1]
        assert len([one for one in registry.seen if one.path.startswith("/token")]) >= 2
