# Runs a program that can touch nothing but what is named: perl confine.pl [--read PATH | --write PATH]... -- PROGRAM [ARGUMENT...]
#
# By Landlock (landlock(7)), in Perl because every Debian has it and it starts in 5 ms. What holds is for good, for the
# program and all that it starts: files beyond the named ones can neither be read nor written nor listed, no TCP port
# be reached or opened, no process outside be signalled. Where the kernel has no Landlock the program runs without.
use strict;
use POSIX ();

my %call = (create => 444, add => 445, restrict => 446);
my $prctl = (POSIX::uname())[4] eq 'aarch64' ? 167 : 157;
my ($set_no_new_privs, $version_flag, $path_beneath, $o_path) = (38, 1, 1, 010000000);

# Rights on files, in the order of landlock(7).
my ($execute, $write_file, $read_file, $read_dir) = (1 << 0, 1 << 1, 1 << 2, 1 << 3);
my ($make_char, $make_block) = (1 << 6, 1 << 11);
my ($truncate, $ioctl) = (1 << 14, 1 << 15);
my $abi = syscall($call{create}, 0, 0, $version_flag);
my $all = $abi >= 5 ? 0xffff : $abi >= 3 ? 0x7fff : $abi >= 2 ? 0x3fff : 0x1fff;
my $on_file = $execute | $write_file | $read_file | $truncate | $ioctl;
my %rights = (
    '--read' => $execute | $read_file | $read_dir,
    '--write' => $all & ~($execute | $make_char | $make_block),
);

sub confine {
    my @named = @_;
    my $attributes = pack('QQQ', $all, $abi >= 4 ? 3 : 0, $abi >= 6 ? 3 : 0);
    my $size = $abi >= 6 ? 24 : $abi >= 4 ? 16 : 8;
    my $rules = syscall($call{create}, $attributes, $size, 0);
    die "confine: no rules can be made: $!\n" if $rules < 0;
    for (@named) {
        my ($kind, $path) = @$_;
        sysopen(my $handle, $path, $o_path) or next;
        my $rights = $rights{$kind};
        $rights &= $on_file unless -d $path;
        my $rule = pack('Ql', $rights & $all, fileno($handle));
        syscall($call{add}, $rules, $path_beneath, $rule, 0) == 0 or die "confine: $path: $!\n";
    }
    syscall($prctl, $set_no_new_privs, 1, 0, 0, 0) == 0 or die "confine: no_new_privs: $!\n";
    syscall($call{restrict}, $rules, 0) == 0 or die "confine: $!\n";
    POSIX::close($rules);
}

my @named;
while (@ARGV && $ARGV[0] ne '--') {
    my ($kind, $path) = splice(@ARGV, 0, 2);
    die "confine: $kind is not known\n" unless $rights{$kind};
    push @named, [$kind, $path];
}
shift @ARGV;
confine(@named) if $abi > 0;
exec { $ARGV[0] } @ARGV or die "confine: $ARGV[0]: $!\n";
