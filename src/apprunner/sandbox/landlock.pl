# perl landlock.pl [--ro PATH]... [--rw PATH]... [--bind PORT]... -- PROGRAM [ARGUMENT...]
# perl landlock.pl --probe
#
# Restricts itself by landlock(7), then becomes PROGRAM: from then on it and its children read and execute only below
# the paths of --ro and --rw, and write only below those of --rw. With --bind they listen by TCP at these ports only (0
# stands for a port of the kernel's choice). Where the kernel knows the scopes, they signal nobody else, and reach
# nobody else's abstract unix sockets. Without restriction nothing is executed: exit code 125.
# --probe restricts itself too, and prints what holds: {"abi":7,"files":true,"network":true,"signals":true}.
#
# Perl, because it is Essential on Debian. Numbers are those of linux/landlock.h; the calls have the same number on
# every architecture, but for prctl.
use strict;
use warnings;
use Fcntl qw(S_ISDIR);

my ($CREATE_RULESET, $ADD_RULE, $RESTRICT_SELF) = (444, 445, 446);
my $VERSION_FLAG = 1;
my ($PATH_BENEATH, $NET_PORT) = (1, 2);
my ($O_PATH, $SET_NO_NEW_PRIVS) = (010000000, 38);

# LANDLOCK_ACCESS_FS_*
my ($EXECUTE, $WRITE_FILE, $READ_FILE, $READ_DIR) = map { 1 << $_ } 0 .. 3;
my ($REMOVE_DIR, $REMOVE_FILE, $MAKE_CHAR, $MAKE_DIR, $MAKE_REG) = map { 1 << $_ } 4 .. 8;
my ($MAKE_SOCK, $MAKE_FIFO, $MAKE_BLOCK, $MAKE_SYM) = map { 1 << $_ } 9 .. 12;
my ($REFER, $TRUNCATE, $IOCTL_DEV) = map { 1 << $_ } 13 .. 15;
my $BIND_TCP = 1;
my $ALL_SCOPES = 3;

my $READING = $EXECUTE | $READ_FILE | $READ_DIR;
# Devices are made by nobody: MAKE_CHAR and MAKE_BLOCK are not among these.
my $WRITING = $READING | $WRITE_FILE | $REMOVE_DIR | $REMOVE_FILE | $MAKE_DIR | $MAKE_REG | $MAKE_SOCK
  | $MAKE_FIFO | $MAKE_SYM | $REFER | $TRUNCATE | $IOCTL_DEV;
my $OF_FILES = $EXECUTE | $WRITE_FILE | $READ_FILE | $TRUNCATE | $IOCTL_DEV;

main(@ARGV);

sub main {
  return probe() if @_ == 1 && $_[0] eq '--probe';
  my ($wanted, @command) = parse(@_);
  restrict(abi(), $wanted);
  no warnings 'exec';
  exec { $command[0] } @command or fail(126, "$command[0] cannot be executed: $!");
}

sub parse {
  my %wanted = (ro => [], rw => [], bind => []);
  while (@_) {
    my $word = shift;
    if ($word eq '--') {
      fail(125, 'no program is given') unless @_;
      return (\%wanted, @_);
    }
    fail(125, "$word is not understood") unless $word =~ /^--(ro|rw|bind)$/ && @_;
    push @{ $wanted{$1} }, shift;
  }
  fail(125, 'there is no -- before the program');
}

sub probe {
  my $abi = version();
  restrict($abi, { ro => ['/'], rw => [], bind => [0] }) if $abi > 0;
  printf qq({"abi":%d,"files":%s,"network":%s,"signals":%s}\n), $abi, map { $_ ? 'true' : 'false' } $abi >= 1,
    $abi >= 4, $abi >= 6;
}

sub abi {
  my $abi = version();
  fail(125, "this kernel has no Landlock, or it is not enabled: $!") if $abi < 1;
  return $abi;
}

# 0 where there is none.
sub version {
  my $abi = syscall($CREATE_RULESET, 0, 0, $VERSION_FLAG);
  return $abi < 0 ? 0 : $abi;
}

sub restrict {
  my ($abi, $wanted) = @_;
  my $files = known_rights($abi);
  my $network = $abi >= 4 && @{ $wanted->{bind} } ? $BIND_TCP : 0;
  my $ruleset = create_ruleset($abi, $files, $network);
  allow_path($ruleset, $_, $READING & $files) for @{ $wanted->{ro} };
  allow_path($ruleset, $_, $WRITING & $files) for @{ $wanted->{rw} };
  for my $port (@{ $wanted->{bind} }) {
    fail(125, "$port is not a port") unless $port =~ /^\d{1,5}$/ && $port <= 65535;
    allow_bind($ruleset, $port) if $network;
  }
  call('no_new_privs cannot be set', prctl_number(), $SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  call('Landlock does not restrict', $RESTRICT_SELF, $ruleset, 0);
}

# What a kernel does not know of, it does not restrict; moving across directories it then refuses.
sub known_rights {
  my ($abi) = @_;
  return (1 << ($abi >= 5 ? 16 : $abi >= 3 ? 15 : $abi >= 2 ? 14 : 13)) - 1;
}

# struct landlock_ruleset_attr has grown with the ABI: files; since 4 network; since 6 scopes.
sub create_ruleset {
  my ($abi, $files, $network) = @_;
  my $attributes = pack $abi >= 6 ? 'Q3' : $abi >= 4 ? 'Q2' : 'Q', $files,
    ($abi >= 4 ? $network : ()), ($abi >= 6 ? $ALL_SCOPES : ());
  return call('Landlock makes no ruleset', $CREATE_RULESET, $attributes, length $attributes, 0);
}

# The path's links are followed here, once; what is allowed is what they lead to now.
sub allow_path {
  my ($ruleset, $path, $rights) = @_;
  sysopen my $place, $path, $O_PATH or fail(125, "$path cannot be opened: $!");
  my $mode = (stat $place)[2];
  fail(125, "$path cannot be looked at: $!") unless defined $mode;
  $rights &= $OF_FILES unless S_ISDIR($mode);
  my $rule = pack 'Ql', $rights, fileno $place;
  call("Landlock does not take $path", $ADD_RULE, $ruleset, $PATH_BENEATH, $rule, 0);
}

sub allow_bind {
  my ($ruleset, $port) = @_;
  my $rule = pack 'QQ', $BIND_TCP, $port;
  call("Landlock does not take port $port", $ADD_RULE, $ruleset, $NET_PORT, $rule, 0);
}

sub prctl_number {
  require POSIX;
  my $machine = (POSIX::uname())[4];
  my $number = { x86_64 => 157, aarch64 => 167 }->{$machine};
  fail(125, "the system calls of $machine are not known") unless defined $number;
  return $number;
}

# syscall(2) takes a string for the address of a buffer and a number for a number.
sub call {
  my ($problem, $number, @arguments) = @_;
  my $result = syscall $number, @arguments;
  fail(125, "$problem: $!") if $result < 0;
  return $result;
}

sub fail {
  my ($code, $message) = @_;
  print STDERR "landlock: $message\n";
  exit $code;
}
