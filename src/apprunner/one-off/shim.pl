# shim.pl NAME UID GID MODE [COLUMNS ROWS] -- PROGRAM [ARGUMENT...]
#
# Starts PROGRAM for one caller, stays beside it, and carries its bytes. MODE is "pipes", or "terminal" (pty(7)) with
# its size; either belongs to UID and GID, unless these are -1. Ends all that PROGRAM has started, orphans included, when PROGRAM has ended, or when the one
# who started this is gone.
#
#   0, 1, 2   the caller's side of PROGRAM's standard streams
#   3         lines. In: "resize COLUMNS ROWS", "kill". The end of it: whoever started this has ended.
#             Out: "program PID", then "exit CODE SIGNAL" when nothing of PROGRAM is left; what it wrote may still come.
#             Or "failed REASON" instead of both.
use strict;
use warnings;
use Errno qw(EAGAIN EINTR);
use Fcntl qw(:DEFAULT F_GETFL F_SETFL O_NONBLOCK O_NOCTTY);
use POSIX ();

# Numbers of system calls: prctl(2), signalfd4(2). Those of ioctl_tty(2) are the same on both machines.
my %calls = (x86_64 => [157, 289], aarch64 => [167, 74]);
my ($prctl, $signalfd4) = @{ $calls{ (POSIX::uname())[4] } // [] };
use constant { TIOCSPTLCK => 0x40045431, TIOCGPTN => 0x80045430, TIOCSWINSZ => 0x5414 };
use constant { PR_SET_CHILD_SUBREAPER => 36, SFD_NONBLOCK => 0x800, SFD_CLOEXEC => 0x80000, IUTF8 => 0x4000 };
use constant PIECE => 65536;

my ($name, $uid, $gid, $mode, @rest) = @ARGV;
my @size = $mode eq 'terminal' ? splice(@rest, 0, 2) : ();
shift @rest;
my @words = @rest;
$0 = "apprunner.$name";

open(my $control, '+<&=', 3) or die "descriptor 3 is missing: $!\n";
binmode $_ for \*STDIN, \*STDOUT, \*STDERR, $control;
$SIG{PIPE} = 'IGNORE';
my ($main, $ended, %flows, $master, $told);
$told = '';
eval { main(); 1 } or tell_and_leave("failed $@");

sub main {
  defined $prctl or die 'one-off programs run on x86_64 and aarch64 only';
  # Whoever of PROGRAM's family loses its parent becomes a child of this process: none can get away.
  syscall($prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0 or die "prctl: $!";
  my $deaths = child_deaths();
  my ($inner, @outer) = $mode eq 'terminal' ? open_terminal() : open_pipes();
  $main = start($inner, $deaths);
  close $_ for values %{ { map { $_ => $_ } @$inner } };
  connect_flows(@outer);
  say_line("program $main");
  carry($deaths);
  tell_and_leave();
}

# A descriptor that can be read when a child has ended: select(2) and a handler would miss the one in between.
sub child_deaths {
  my $set = POSIX::SigSet->new(POSIX::SIGCHLD);
  POSIX::sigprocmask(POSIX::SIG_BLOCK, $set) or die "sigprocmask: $!";
  my $mask = pack('Q', 1 << (POSIX::SIGCHLD - 1));
  my $fd = syscall($signalfd4, -1, $mask, 8, SFD_NONBLOCK | SFD_CLOEXEC);
  $fd >= 0 or die "signalfd: $!";
  open(my $deaths, '<&=', $fd) or die "signalfd: $!";
  return $deaths;
}

sub open_terminal {
  sysopen($master, '/dev/ptmx', O_RDWR | O_NOCTTY) or die "/dev/ptmx: $!";
  my $number = pack('i', 0);
  ioctl($master, TIOCSPTLCK, $number) or die "unlocking the terminal: $!";
  ioctl($master, TIOCGPTN, $number) or die "naming the terminal: $!";
  my $path = '/dev/pts/' . unpack('i', $number);
  sysopen(my $slave, $path, O_RDWR | O_NOCTTY) or die "$path: $!";
  resize(@size);
  edit_in_utf8($slave);
  chmod(0620, $slave) or die "$path: $!";
  give($slave);
  return ([$slave, $slave, $slave], $master, $master, undef);
}

# So that the backspace of the line discipline takes a character away, and not a byte.
sub edit_in_utf8 {
  my ($slave) = @_;
  my $settings = POSIX::Termios->new;
  defined $settings->getattr(fileno $slave) or return;
  $settings->setiflag($settings->getiflag | IUTF8);
  $settings->setattr(fileno $slave, POSIX::TCSANOW);
}

# Real pipes: what a Node program is given otherwise are sockets, and /dev/stdout cannot be opened when it is one.
sub open_pipes {
  pipe(my $in_read, my $in) && pipe(my $out, my $out_write) && pipe(my $err, my $err_write) or die "pipe: $!";
  give($in_read, $out_write, $err_write);
  return ([$in_read, $out_write, $err_write], $in, $out, $err);
}

# Programs open their terminal by its name, and /dev/stdout, which asks for rights anew.
sub give {
  return if $uid < 0;
  chown($uid, $gid, $_) or die "chown: $!" for @_;
}

sub start {
  my ($inner, $deaths) = @_;
  my $pid = fork // die "fork: $!";
  return $pid if $pid;
  POSIX::dup2(fileno $inner->[$_], $_) for 0 .. 2;
  POSIX::close(3);
  $SIG{PIPE} = 'DEFAULT';
  POSIX::sigprocmask(POSIX::SIG_UNBLOCK, POSIX::SigSet->new(POSIX::SIGCHLD));
  no warnings 'exec';
  exec { $words[0] } @words;
  print STDERR "$words[0]: $!\n";
  POSIX::_exit(127);
}

# What is read at one place and written at another; read only when all that was read before has been written.
sub connect_flows {
  my ($in, $out, $err) = @_;
  %flows = (in => flow(\*STDIN, $in), out => flow($out, \*STDOUT), $err ? (err => flow($err, \*STDERR)) : ());
}

sub flow {
  my ($from, $to) = @_;
  for my $end ($from, $to) { fcntl($end, F_SETFL, fcntl($end, F_GETFL, 0) | O_NONBLOCK) or die "fcntl: $!" }
  return { from => $from, to => $to, bytes => '' };
}

sub carry {
  my ($deaths) = @_;
  while (%flows || !$ended) {
    my ($readable, $writable) = ready($deaths);
    reap() if vec($readable, fileno $deaths, 1) && drained($deaths);
    obey() if vec($readable, 3, 1);
    for my $key (keys %flows) {
      my $flow = $flows{$key};
      push_bytes($key, $flow) if $flow->{bytes} ne '' && vec($writable, fileno $flow->{to}, 1);
      pull_bytes($key, $flow) if $flows{$key} && $flow->{bytes} eq '' && ($ended || vec($readable, fileno $flow->{from}, 1));
    }
  }
}

sub ready {
  my ($deaths) = @_;
  my ($read, $write) = ('', '');
  vec($read, $_, 1) = 1 for 3, fileno $deaths;
  my $waits = 1;
  for my $flow (values %flows) {
    if ($flow->{bytes} ne '') { vec($write, fileno $flow->{to}, 1) = 1 }
    else { vec($read, fileno $flow->{from}, 1) = 1; $waits = 0 if $ended }
  }
  select($read, $write, undef, $waits ? undef : 0) >= 0 or return ('', '');
  return ($read, $write);
}

sub drained { sysread($_[0], my $ignored, 4096); return 1 }

sub pull_bytes {
  my ($key, $flow) = @_;
  my $count = sysread($flow->{from}, $flow->{bytes}, PIECE);
  return if $count;
  $flow->{bytes} = '';
  # Whoever could write has ended, so what there was has been read. Of a terminal, EIO is the end.
  my $for_now = !defined $count && ($! == EAGAIN || $! == EINTR) && !$ended;
  finish($key, $flow) unless $for_now;
}

sub push_bytes {
  my ($key, $flow) = @_;
  my $count = syswrite($flow->{to}, $flow->{bytes});
  if (defined $count) { substr($flow->{bytes}, 0, $count, '') }
  elsif ($! != EAGAIN && $! != EINTR) { finish($key, $flow) }
}

# The other side of a flow is told by the end of its descriptor, unless that is a terminal: it has none of one direction.
sub finish {
  my ($key, $flow) = @_;
  delete $flows{$key};
  for my $end ($flow->{from}, $flow->{to}) { close $end unless $master && $end == $master }
}

sub obey {
  my $count = sysread($control, $told, 4096, length $told);
  if (!$count) {
    return if !defined $count && ($! == EAGAIN || $! == EINTR);
    end_family();
    POSIX::_exit(0);
  }
  while ($told =~ s/\A([^\n]*)\n//) {
    my ($word, @values) = split / /, $1;
    resize(@values) if $word eq 'resize' && $master;
    if ($word eq 'kill' && !$ended) { kill 'KILL', $main }
  }
}

sub resize {
  my ($columns, $rows) = @_;
  ioctl($master, TIOCSWINSZ, pack('S4', $rows, $columns, 0, 0));
}

sub reap {
  while ((my $pid = waitpid(-1, POSIX::WNOHANG)) > 0) {
    next if $pid != $main;
    my ($code, $signal) = ($? >> 8, $? & 127);
    end_family();
    $ended = 1;
    finish('in', $flows{in}) if $flows{in};
    say_line("exit $code $signal");
    return;
  }
}

# Nobody is left when there is no child to wait for: the children of those that end become ours.
sub end_family {
  do { kill 'KILL', $_ for children() } while waitpid(-1, 0) > 0;
}

sub children {
  no warnings 'io'; # of a standard stream that was closed, its number is used again
  if (open(my $list, '<', "/proc/$$/task/$$/children")) { return split ' ', (<$list> // '') }
  opendir(my $proc, '/proc') or return ();
  return grep { parent_of($_) == $$ } grep { /\A\d+\z/ } readdir $proc;
}

sub parent_of {
  no warnings 'io';
  open(my $file, '<', "/proc/$_[0]/stat") or return 0;
  my ($parent) = (<$file> // '') =~ /.*\) \S (\d+)/s;
  return $parent // 0;
}

sub say_line { syswrite($control, "$_[0]\n") }

sub tell_and_leave {
  my ($line) = @_;
  if ($line) { $line =~ s/ at \S+ line \d+.*//s; say_line($line) }
  POSIX::_exit(0);
}
