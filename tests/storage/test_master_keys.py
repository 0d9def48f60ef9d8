"""Several master keys: a folder opens with any that it needs, and what is added is under the key of what is there."""

import stat
from pathlib import Path

import pytest

from doorward.core.upstream import upstream_secret_purpose
from doorward.core.vault import UnknownMasterKey, Vault, name_master_key
from doorward.oauth.jwt import generate_signing_key
from doorward.storage.database import Transaction
from doorward.storage.encryption import encrypt_at_rest, rewrap
from doorward.storage.key_rotation import publish_key_at_once
from doorward.storage.master_keys import Held, KeyFile, UnsafeKeyFile
from doorward.storage.opening import Store, UnsafeFolder
from doorward.storage.projects import (
    add_project,
    add_server_secret,
    list_server_secrets,
    remove_server_secret,
    replace_server_secret,
)
from doorward.storage.signing_keys import list_signing_keys
from doorward.storage.upstream import add_upstream_provider, list_upstream_secrets
from tests.storage.rows import NOW, PROVIDER, make_project, make_provider
from tests.storage.test_opening import opened
from tests.unit.test_vault import encrypt_without_name

OLD, NEW, OTHER = (bytes(range(number, number + 32)) for number in (1, 2, 3))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


async def ciphertexts(store: Store) -> dict[str, bytes]:
    """Everything that is encrypted in a folder."""

    async def read(tx: Transaction) -> dict[str, bytes]:
        found = await list_server_secrets(tx)
        project_id = make_project().project_id
        keys = await list_signing_keys(tx, project_id, 0)
        upstream = await list_upstream_secrets(tx, project_id)
        return {**found, **upstream, **{key.kid: key.private_ciphertext for key in keys}}

    return await store.database.read(read)


async def keys_in_use(store: Store) -> set[bytes]:
    """The names of the keys that something is encrypted under."""
    return {ciphertext[4:12] for ciphertext in (await ciphertexts(store)).values()}


async def fill(store: Store) -> None:
    async def add(tx: Transaction) -> None:
        project = make_project()
        await add_project(tx, project)
        await publish_key_at_once(tx, store.vault, project.project_id, generate_signing_key(), NOW)
        purpose = upstream_secret_purpose(project.project_id, PROVIDER)
        secret = await encrypt_at_rest(tx, store.vault, b"secret", purpose)
        await add_upstream_provider(tx, make_provider(project), secret)

    await store.database.write(add)


async def test_a_folder_opens_with_its_key_and_any_others_in_any_order(folder: Path) -> None:
    async with opened(folder, OLD.hex()) as store:
        secret = store.refresh_tokens.key
    for keys in ((OLD,), (NEW, OLD), (OLD, NEW), (OTHER, NEW, OLD)):
        async with opened(folder, ",".join(key.hex() for key in keys)) as store:
            assert store.refresh_tokens.key == secret
            assert await keys_in_use(store) == {name_master_key(OLD)}
    with pytest.raises(UnsafeFolder, match=r"^DOORWARD_MASTER_KEY: The master key does not decrypt"):
        async with opened(folder, f"{NEW.hex()},{OTHER.hex()}"):
            pass


async def test_a_new_folder_is_under_the_first_key(folder: Path) -> None:
    async with opened(folder, f"{NEW.hex()},{OLD.hex()}") as store:
        assert await keys_in_use(store) == {name_master_key(NEW)}


async def test_the_file_of_the_folder_may_hold_several_lines(folder: Path) -> None:
    async with opened(folder) as store:
        await fill(store)
    file = KeyFile(folder)
    (key,) = file.read()
    file.replace((NEW, key))
    async with opened(folder) as store:
        assert await keys_in_use(store) == {name_master_key(key)}
        assert await store.database.write(rewrap, store.vault) == len(await ciphertexts(store))
        assert await keys_in_use(store) == {name_master_key(NEW)}
        assert await store.database.write(rewrap, store.vault) == 0
    file.replace((NEW,))
    async with opened(folder):
        pass


async def test_rewrapping_keeps_every_secret_as_it_was(folder: Path) -> None:
    async with opened(folder, OLD.hex()) as store:
        await fill(store)
        secrets = (store.refresh_tokens, store.sealer, store.form_key)
        (signing,) = await store.database.read(list_signing_keys, make_project().project_id, NOW)
        purpose = f"signing-key/{make_project().project_id}/{signing.kid}"
        private = store.vault.decrypt(signing.private_ciphertext, purpose)
    async with opened(folder, f"{NEW.hex()},{OLD.hex()}") as store:
        await store.database.write(rewrap, store.vault)
    async with opened(folder, NEW.hex()) as store:
        assert (store.refresh_tokens, store.sealer, store.form_key) == secrets
        (signing,) = await store.database.read(list_signing_keys, make_project().project_id, NOW)
        assert store.vault.decrypt(signing.private_ciphertext, purpose) == private


async def test_a_folder_of_before_ciphertexts_named_their_key_opens_and_is_rewrapped(folder: Path) -> None:
    async with opened(folder, OLD.hex()) as store:
        secret, vault = store.refresh_tokens.key, store.vault

        async def take_names(tx: Transaction) -> None:
            for purpose, ciphertext in (await list_server_secrets(tx)).items():
                plain = vault.decrypt(ciphertext, purpose)
                await replace_server_secret(tx, purpose, encrypt_without_name(OLD, plain, purpose))

        await store.database.write(take_names)
        assert name_master_key(OLD) not in await keys_in_use(store)
    with pytest.raises(UnsafeFolder, match=r"^DOORWARD_MASTER_KEY: "):
        async with opened(folder, NEW.hex()):
            pass
    async with opened(folder, f"{NEW.hex()},{OLD.hex()}") as store:
        await fill(store)
        assert store.refresh_tokens.key == secret
        assert await store.database.write(rewrap, store.vault) == len(await ciphertexts(store))
    async with opened(folder, NEW.hex()) as store:
        assert store.refresh_tokens.key == secret


async def test_a_wrong_key_adds_nothing_that_the_right_one_could_not_read(folder: Path) -> None:
    async with opened(folder, OLD.hex()) as store:
        assert await store.database.write(remove_server_secret, "refresh-tokens")
        before = await ciphertexts(store)
    with pytest.raises(UnsafeFolder, match=r"^DOORWARD_MASTER_KEY: "):
        async with opened(folder, NEW.hex()):
            pass
    async with opened(folder, OLD.hex()) as store:
        assert {name: (await ciphertexts(store))[name] for name in before} == before
        assert await keys_in_use(store) == {name_master_key(OLD)}


async def test_a_process_that_knew_only_the_old_key_reads_and_writes_under_the_new_one_at_06(folder: Path) -> None:
    """As a server does that runs while another process changes the master key."""
    async with opened(folder) as running:
        await fill(running)
        file = KeyFile(folder)
        (old,) = file.read()
        async with opened(folder) as operator:
            file.replace((NEW, old))
            operator.vault.learn((NEW, old))
            await operator.database.write(rewrap, operator.vault)
        file.replace((NEW,))

        async def add(tx: Transaction) -> None:
            await add_server_secret(tx, "added", await encrypt_at_rest(tx, running.vault, b"added", "added"), NOW)

        await running.database.write(add)
        assert await keys_in_use(running) == {name_master_key(NEW)}
    async with opened(folder) as store:
        assert store.vault.decrypt((await ciphertexts(store))["added"], "added") == b"added"


async def test_without_the_new_key_a_process_writes_nothing(folder: Path) -> None:
    async with opened(folder, OLD.hex()) as running:
        async with opened(folder, f"{NEW.hex()},{OLD.hex()}") as operator:
            await operator.database.write(rewrap, operator.vault)
        before = await ciphertexts(running)

        async def add(tx: Transaction) -> None:
            await add_server_secret(tx, "added", await encrypt_at_rest(tx, running.vault, b"added", "added"), NOW)

        with pytest.raises(UnknownMasterKey):
            await running.database.write(add)
        assert await ciphertexts(running) == before


async def test_a_rewrapping_that_meets_an_unknown_key_changes_nothing(folder: Path) -> None:
    async with opened(folder, OLD.hex()) as store:
        sealed = Vault([OTHER]).encrypt(b"lost", "zzz")
        await store.database.write(add_server_secret, "zzz", sealed, NOW)
        before = await ciphertexts(store)
        with pytest.raises(UnknownMasterKey, match="zzz"):
            await store.database.write(rewrap, Vault([NEW, OLD]))
        assert await ciphertexts(store) == before


def test_a_key_file_is_replaced_as_a_whole_and_stays_private(tmp_path: Path) -> None:
    file = KeyFile(tmp_path)
    file.create(OLD)
    with pytest.raises(FileExistsError):
        file.create(NEW)
    (tmp_path / "master.key.new").write_text("of a replacement that broke off")
    file.replace((NEW, OLD))
    assert file.read() == (NEW, OLD)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["master.key"]


def test_a_key_file_that_others_can_read_is_not_read(tmp_path: Path) -> None:
    file = KeyFile(tmp_path)
    file.create(OLD)
    file.path.chmod(0o640)
    with pytest.raises(UnsafeKeyFile, match="chmod 600"):
        file.read()


def test_one_process_at_a_time_changes_the_key_file(tmp_path: Path) -> None:
    file = KeyFile(tmp_path)
    with file.held(), pytest.raises(Held), file.held():
        raise AssertionError("held twice")
    with file.held():
        pass
