"""One file of 512 MiB by SFTP to OpenSSH, to an S3 server and to Azurite, all on this machine."""

from benchmarks.case import FOLDER, PEERS, Case, Contender, Data, Kind, Want, landbridge
from benchmarks.cases.upload import servers

DATA = Data("noise", 512, "upload.bin", {"seed": 3})
SFTP = 'echo "put $1 $2/" | sftp -q -b - -P "$3" -i "$4" -F none -o IdentitiesOnly=yes -o UserKnownHostsFile="$5"'
PYTHON = PEERS / "clients" / "bin" / "python"
HERE = FOLDER / "cases" / "upload"


def ours(flow: str) -> Contender:
    return landbridge("upload", flow, values="{values}", output=False)


def by_script(name: str, module: str, kind: Kind, remark: str = "") -> Contender:
    return Contender(
        name, kind, ("{python}", "-m", f"benchmarks.cases.upload.{module}", "{file}", "{values}"), remark=remark
    )


def client(name: str, script: str, package: str, remark: str = "", *more: str) -> Contender:
    return Contender(
        name,
        "peer",
        (str(PYTHON), str(HERE / script), "{file}", "{values}", *more),
        needs=PYTHON,
        remark=remark,
        version=(str(PYTHON), "-c", f"from importlib.metadata import version; print(version('{package}'))"),
    )


def sftp(name: str, remark: str, *options: str) -> Contender:
    return Contender(
        name,
        "client",
        (
            "/bin/sh", "-c",
            f"{SFTP} {' '.join(options)} \"$6@$7\"", "sh",
            "{file}", "{arrived}", "{port}", "{key}", "{known}", "{username}", "{host}",
        ),
        remark=remark,
        version=("/bin/sh", "-c", "ssh -V 2>&1 | cut -d, -f1"),
    )  # fmt: skip


CASES = (
    Case(
        name="upload_sftp",
        title="512 MiB by SFTP to OpenSSH's server",
        data=DATA,
        unit="MiB",
        contenders=(
            ours("flow_sftp.json"),
            by_script("bare", "bare_sftp", "bare", "asyncssh on uvloop; no check of the size, no rename"),
            sftp("sftp", "OpenSSH's client as it comes"),
            sftp("sftp-gcm", "OpenSSH's client with the cipher that Landbridge prefers", "-c aes128-gcm@openssh.com"),
            client("paramiko", "paramiko_peer.py", "paramiko", "", "{known}"),
        ),
        wants=(Want("sftp", 0.9), Want("sftp-gcm", 0.9)),
        server=servers.openssh,
        stored=servers.stored_in_folder,
    ),
    Case(
        name="upload_s3",
        title="512 MiB to an S3 server (rclone serve s3)",
        data=DATA,
        unit="MiB",
        contenders=(
            ours("flow_s3.json"),
            by_script("bare", "bare_objects", "bare", "obstore"),
            client("boto3", "boto3_peer.py", "boto3"),
        ),
        wants=(Want("bare", 0.9),),
        server=servers.s3,
        stored=servers.stored_as_objects,
    ),
    Case(
        name="upload_azure",
        title="512 MiB to Azurite",
        data=DATA,
        unit="MiB",
        contenders=(
            ours("flow_azure.json"),
            by_script("bare", "bare_objects", "bare", "obstore"),
            client("azure-storage-blob", "azure_peer.py", "azure-storage-blob"),
        ),
        wants=(Want("bare", 0.9),),
        server=servers.azurite,
        stored=servers.stored_as_objects,
    ),
)
