"""A Slurm cluster of one node: Debian's slurm-wlm and munge on this machine's loopback, for tests of the profile.

    python tests/slurm/cluster.py snakemake --profile profiles/slurm --config experiment=smoke

runs one command on a cluster that lives as long as the command does. It needs root and what `lacking()` names.

The cluster has namespaces of its own. Its configuration lies over /etc/slurm there and nowhere else, its network is a
loopback that nothing leaves, and its processes end with it, however it ends. Nothing of the machine is changed.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

PROGRAMS = {
    "munged": "munge",
    "slurmctld": "slurm-wlm",
    "slurmd": "slurm-wlm",
    "srun": "slurm-wlm",
    "setpriv": "util-linux",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "ip": "iproute2",
}
OWN = ("--mount", "--net", "--pid", "--uts")

# No accounting database: the state of jobs is what `squeue` says. Its GPU is a name that Slurm hands out, no device.
SLURM_CONF = """
ClusterName=loopback
SlurmctldHost=node(127.0.0.1)
SlurmUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=sched_interval=2,bf_interval=2
KillWait=2
ReturnToService=2
GresTypes=gpu
NodeName=node NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory_mb} Gres=gpu:1
PartitionName=main Nodes=node Default=YES
PartitionName=gpu Nodes=node
"""
BOOT = """
set -e
hostname node
ip link set lo up
ip address add 192.0.2.1 dev lo  # with 127.* alone, resolvers say that no address can be reached
mount --bind {folder}/etc /etc/slurm
mount --bind {folder}/etc/hosts /etc/hosts
mount -t tmpfs tmpfs /run
mkdir /run/munge
munged --key-file={folder}/munge.key --log-file={folder}/munge.log --seed-file={folder}/munge.seed --num-threads=1
slurmctld -D > {folder}/slurmctld.log 2>&1 &
slurmd -D -N node > {folder}/slurmd.log 2>&1 &
wait
"""


def lacking() -> str | None:
    """Why there can be no cluster here, and what to do about it; None where there can."""
    if packages := sorted({package for program, package in PROGRAMS.items() if not shutil.which(program)}):
        return f"Slurm needs: apt-get install --no-install-recommends {' '.join(packages)}"
    if not importlib.util.find_spec("snakemake_executor_plugin_slurm"):
        return "Snakemake's Slurm plugin needs: pip install -r envs/requirements.lock"
    if os.geteuid():
        return "a Slurm cluster of one's own needs root"
    if subprocess.run(["unshare", *OWN, "--fork", "true"], capture_output=True).returncode:
        return "this machine lets nobody make namespaces (a container without CAP_SYS_ADMIN?)"
    return None


def until(true: Callable[[], object], what: str, seconds: float = 300) -> object:
    """Wait until a condition holds and return its value; after `seconds`, an error that says what did not happen."""
    deadline = time.monotonic() + seconds
    while not (value := true()):
        assert time.monotonic() < deadline, f"after {seconds} s still not: {what}"
        time.sleep(0.1)
    return value


class Cluster:
    """A running cluster; a context manager.

    Args:
        folder: an empty folder for its state, its logs and its key.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> "Cluster":
        for name in ("etc", "state", "spool"):
            (self.folder / name).mkdir()
        memory_mb = psutil.virtual_memory().total // 2**20
        conf = SLURM_CONF.format(folder=self.folder, cpus=os.cpu_count(), memory_mb=memory_mb)
        (self.folder / "etc/slurm.conf").write_text(conf)
        (self.folder / "etc/hosts").write_text("127.0.0.1 localhost node\n")
        (self.folder / "etc/gres.conf").write_text("NodeName=node Name=gpu File=/dev/null\n")
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        boot = ["bash", "-c", BOOT.format(folder=self.folder)]
        apart = ["setpriv", "--pdeathsig=KILL", "unshare", *OWN, "--fork", "--kill-child", "--mount-proc"]
        with open(self.folder / "boot.log", "w") as log:
            self.outside = subprocess.Popen([*apart, *boot], stdout=log, stderr=log)
        try:
            self.inside = until(psutil.Process(self.outside.pid).children, "a process in the namespaces")[0]
            until(self._idle, "an idle node")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.outside.kill()
        self.outside.wait()

    def _idle(self) -> bool:
        assert self.outside.poll() is None, (self.folder / "boot.log").read_text()
        return self.ask("sinfo", "--noheader", "--format=%T") == "idle"

    def command(self, *words: str, folder: Path | str = "/") -> list[str]:
        """What runs a command in a folder on the cluster."""
        return ["nsenter", f"--target={self.inside.pid}", *OWN, "env", f"--chdir={folder}", *words]

    def processes(self) -> list[psutil.Process]:
        """What runs on the cluster."""
        return self.inside.children(recursive=True)

    def ask(self, *words: str) -> str:
        """What a command on the cluster says."""
        return subprocess.run(self.command(*words), capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    if reason := lacking():
        sys.exit(f"error: {reason}")
    with tempfile.TemporaryDirectory(prefix="slurm-") as place, Cluster(Path(place)) as here:
        sys.exit(subprocess.run(here.command(*sys.argv[1:], folder=Path.cwd())).returncode)
