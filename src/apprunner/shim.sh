# shim.sh RUN_DIRECTORY ENTER [ARGUMENT...]
#
# Starts a program by ENTER (sandbox/enter.sh, read into this shell: a process less to start), stays beside it, and leaves in RUN_DIRECTORY what a controller wants to know of it, also one that
# starts later (src/protocol/instance-files.ts). Waits for nothing else, and needs no more memory than a shell does.
#
# Descriptor 3, when it is there, is told when RUN_DIRECTORY can be read. The program inherits it.
set -u

shim() {
  run=$1
  shift
  umask 077
  program "$@" &

  # From here on a signal meant for others must not end the waiting. The program was forked before: it does not
  # inherit that it is ignored, nor the descriptor of the FIFO.
  trap '' HUP INT QUIT TERM USR1 USR2 PIPE ALRM
  mkfifo -- "$run/alive" && exec 4<>"$run/alive"
  # The log is the app's alone: whoever writes to it is taken for a part of the app.
  exec >/dev/null 2>&1
  { echo >&3; } 2>/dev/null
  exec 3>&-

  wait "$!"
  echo "$?" >"$run/exit.tmp"
  mv -- "$run/exit.tmp" "$run/exit"
}

# Writes down who this process is, then becomes the program: nothing ever runs that is not written down. The name in
# field 2 of the line is this shell's own, so the first ") " ends it. One write(2): a reader finds the line whole,
# or no newline.
program() {
  read -r stat </proc/self/stat
  identify ${stat#*) } >"$run/process" || exit 126 # no room on the disk
  enter=$1
  shift
  . "$enter"
}

# Field 22 of the line is the start time, field 3 the first argument.
identify() {
  echo "${stat%% *} ${20}"
}

# Forked once more, so that the parent is init and not the controller: a controller that becomes its next version by
# execve(2) knows nothing of children, and would leave each of them a zombie.
shim "$@" &
