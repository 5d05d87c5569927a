"""What a person fills in for a dropzone."""

from __future__ import annotations

from integrations.connectors.manifest import Field, Logo, Manifest

NAME = "DROPZONE_JSON_V1"

MANIFEST = Manifest(
    key=NAME,
    label="JSON dropzone",
    family="erp",
    description="Drops a JSON file for every order or event, over SFTP or into a folder of this machine.",
    needs=("An SFTP server with a user, or a folder of this machine",),
    logo=Logo(path="M3 6h6l2 2h10v11H3zM12 10.5V16m-2.5-2.5L12 16l2.5-2.5", colour="#935400"),
    docs_url="https://man.openbsd.org/sftp-server",
    allow_multiple=False,
    does=("deliver", "export", "check"),
    fields=(
        Field(
            name="host",
            label="SFTP host",
            kind="host",
            help="Empty: a local folder, below one that the operator opened with DROPZONE_ROOTS.",
        ),
        Field(name="port", label="SFTP port", kind="integer", default=22, minimum=1, maximum=65535, advanced=True),
        Field(
            name="username",
            label="User name",
            pattern=r"[^\x00-\x1f\x7f]{1,100}",
            hint="must be a user name without control characters",
        ),
        Field(name="password", kind="secret", help="Not needed with a private key."),
        Field(
            name="private_key",
            kind="secret",
            trim=True,
            multiline=True,
            help="OpenSSH or PEM: Ed25519, ECDSA, or RSA from 2048 bits. The whole text, from BEGIN to END. A PuTTY "
            "key (.ppk) is exported as OpenSSH key first.",
        ),
        Field(name="passphrase", kind="secret", help="Of the private key, if it has one."),
        Field(
            name="host_key",
            label="Host key of the server",
            kind="lines",
            help="What `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` prints there: 256 SHA256:… (ED25519). "
            "Lines of ssh-keyscan do too, once somebody has compared them. Several lines while the key is changed. "
            "A server that shows another key gets nothing, not even a login.",
        ),
        Field(
            name="folder",
            help="Where the files go; it must exist. On the server: empty for the folder after login. On this "
            "machine: an absolute path.",
            pattern=r"[^\x00-\x1f\x7f]{1,500}",
            hint="must be a path without control characters",
        ),
        Field(
            name="temporary_name",
            pattern=r"(?!\{name\}$)[A-Za-z0-9._-]*\{name\}[A-Za-z0-9._-]*",
            hint="must be one name with {name} in it and something beside it, such as {name}.part",
            help="What a file is called until it is whole and gets its own name, such as {name}.part or tmp_{name}. "
            "Empty: .{name}.part, or {name}.part on a server that refuses names with a dot in front.",
            advanced=True,
        ),
    ),
)
