# enter.sh VIEW STATUS SECCOMP [CGROUP_PROCS...] -- PROGRAM [ARGUMENT...]
#
# Run by sh, or read into one. Opens what bubblewrap takes as descriptors (7: what the app sees, 8: what it says of itself, 9: the filter of system
# calls), joins the control groups of the instance, and becomes PROGRAM. What cannot be had ends it: an app never starts
# with less than was planned. What is empty is not opened. "0" stands for the writer, and costs the kernel less than a pid.
set -eu

[ -z "$1" ] || exec 7<"$1"
[ -z "$2" ] || exec 8>"$2"
[ -z "$3" ] || exec 9<"$3"
shift 3
while [ "$1" != -- ]; do
  echo 0 >"$1"
  shift
done
shift
exec "$@"
