# foreground.sh DIRECTORY PROGRAM [ARGUMENT...]
#
# Stays between a terminal and bwrap(1), which would end at SIGTERM without a word to the app inside: hands the signal
# to the app itself, and ends as the app does. In DIRECTORY, removed at the end, is what bwrap says of itself.
set -u

directory=$1
shift

# The processes that the first one inside has started. Found by what bwrap writes: { "child-pid": 123 ...
inside() {
  read -r line <"$directory/sandbox" || return 0
  first=${line#*: }
  first=${first%%[!0-9]*}
  cat "/proc/$first/task/$first/children" 2>/dev/null
}

# The terminal's own signals reach the app without us.
trap : INT QUIT
trap 'for pid in $(inside); do kill -TERM "$pid"; done' TERM HUP

"$@" <&0 &
program=$!
while :; do
  wait "$program"
  code=$?
  kill -0 "$program" 2>/dev/null || break
done
rm -r -- "$directory"
exit "$code"
