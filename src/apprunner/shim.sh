# Read by a shell that is started before it is known for whom (spare-shims.ts), and then reads on its standard input:
#
#   launch APP DIRECTORY STDOUT STDERR ENVIRONMENT RUN_DIRECTORY ENTER [ARGUMENT...]
#
# Starts a program in DIRECTORY by ENTER (sandbox/enter.sh, read into this shell: a process less to start), with
# ENVIRONMENT, which is NAME=VALUE, exported. Stays beside it, and leaves in RUN_DIRECTORY what a controller wants to know
# of it, also one that starts later (src/protocol/instance-files.ts). Waits for nothing else, and needs no more memory
# than a shell does.
#
# Descriptor 3 is the program's. In: a line when ENTER and STDOUT and STDERR can be opened; its end before that is the end
# of the program. Out: what the program tells, at most.
# Descriptor 4 is the standard input once more. Its end: an app that starts needs the CPU no more. This side ends when
# RUN_DIRECTORY can be read.
set -u

launch() {
  app=$1
  cd -- "$2" || exit
  unset OLDPWD # cd has exported it
  # What ps(1) and top(1) call this process; the kernel keeps 15 characters.
  printf %s "apprunner.$app" >/proc/self/comm
  stdout=$3 stderr=$4 environment=$5 run=$6
  shift 6
  umask 077
  # By a fork, which has less of the C library in its memory than this shell: 0.5 MB.
  stay "$@" &
  exit
}

stay() {
  program "$@" 4<&- &
  exec 3>&-

  # From here on a signal meant for others must not end the waiting. The program was forked before: it does not
  # inherit that it is ignored, nor the descriptor of the FIFO.
  trap '' HUP INT QUIT TERM USR1 USR2 PIPE ALRM
  read -r nothing <&4
  mkfifo -- "$run/alive" && exec 4<>"$run/alive" || exec 4<&-

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
  export "$environment"
  enter=$1
  shift
  read -r go <&3 || exit 126
  exec >>"$stdout" 2>>"$stderr"
  . "$enter"
}

# Field 22 of the line is the start time, field 3 the first argument.
identify() {
  echo "${stat%% *} ${20}"
}
