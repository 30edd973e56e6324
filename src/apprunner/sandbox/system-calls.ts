/** A system call's number by architecture; null where it does not exist. */
export type Numbers = Readonly<{ x64: number | null; arm64: number | null }>;

/**
 * What is refused whatever its arguments are: what a web application never needs and what widens the part of the
 * kernel that it can attack. The same calls are refused by the profiles of Docker (moby/profiles, seccomp/default.json),
 * flatpak (flatpak-run.c, setup_seccomp) or systemd (systemd.exec(5), SystemCallFilter: @clock, @module, @mount,
 * @obsolete, @raw-io, @reboot, @swap), as far as these agree.
 * Numbers: arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h of Linux.
 */
export const refusedCalls = {
  // the tree of mounts
  mount: { x64: 165, arm64: 40 },
  umount2: { x64: 166, arm64: 39 },
  pivot_root: { x64: 155, arm64: 41 },
  chroot: { x64: 161, arm64: 51 },
  move_mount: { x64: 429, arm64: 429 },
  open_tree: { x64: 428, arm64: 428 },
  open_tree_attr: { x64: 467, arm64: 467 },
  fsopen: { x64: 430, arm64: 430 },
  fsconfig: { x64: 431, arm64: 431 },
  fsmount: { x64: 432, arm64: 432 },
  fspick: { x64: 433, arm64: 433 },
  mount_setattr: { x64: 442, arm64: 442 },
  // namespaces; clone is looked at by its flags
  unshare: { x64: 272, arm64: 97 },
  setns: { x64: 308, arm64: 268 },
  // other processes' memory and descriptors
  ptrace: { x64: 101, arm64: 117 },
  process_vm_readv: { x64: 310, arm64: 270 },
  process_vm_writev: { x64: 311, arm64: 271 },
  kcmp: { x64: 312, arm64: 272 },
  pidfd_getfd: { x64: 438, arm64: 438 },
  move_pages: { x64: 279, arm64: 239 },
  migrate_pages: { x64: 256, arm64: 238 },
  // the kernel itself: its code, its log, its counters
  kexec_load: { x64: 246, arm64: 104 },
  kexec_file_load: { x64: 320, arm64: 294 },
  init_module: { x64: 175, arm64: 105 },
  finit_module: { x64: 313, arm64: 273 },
  delete_module: { x64: 176, arm64: 106 },
  create_module: { x64: 174, arm64: null },
  get_kernel_syms: { x64: 177, arm64: null },
  query_module: { x64: 178, arm64: null },
  bpf: { x64: 321, arm64: 280 },
  perf_event_open: { x64: 298, arm64: 241 },
  syslog: { x64: 103, arm64: 116 },
  lookup_dcookie: { x64: 212, arm64: 18 },
  nfsservctl: { x64: 180, arm64: 42 },
  _sysctl: { x64: 156, arm64: null },
  sysfs: { x64: 139, arm64: null },
  // a means of many exploits, and rarely of anything else
  userfaultfd: { x64: 323, arm64: 282 },
  add_key: { x64: 248, arm64: 217 },
  request_key: { x64: 249, arm64: 218 },
  keyctl: { x64: 250, arm64: 219 },
  modify_ldt: { x64: 154, arm64: null },
  uselib: { x64: 134, arm64: null },
  ustat: { x64: 136, arm64: null },
  fanotify_init: { x64: 300, arm64: 262 },
  // files by handle, past the directories above them
  open_by_handle_at: { x64: 304, arm64: 265 },
  name_to_handle_at: { x64: 303, arm64: 264 },
  // the machine: its clock, swap, quotas, accounting, ports, terminal, power
  swapon: { x64: 167, arm64: 224 },
  swapoff: { x64: 168, arm64: 225 },
  reboot: { x64: 169, arm64: 142 },
  settimeofday: { x64: 164, arm64: 170 },
  clock_settime: { x64: 227, arm64: 112 },
  clock_adjtime: { x64: 305, arm64: 266 },
  adjtimex: { x64: 159, arm64: 171 },
  acct: { x64: 163, arm64: 89 },
  quotactl: { x64: 179, arm64: 60 },
  quotactl_fd: { x64: 443, arm64: 443 },
  iopl: { x64: 172, arm64: null },
  ioperm: { x64: 173, arm64: null },
  vhangup: { x64: 153, arm64: 58 },
} as const satisfies Record<string, Numbers>;

/**
 * What is said not to exist, so that programs take the older way: glibc falls back from clone3, whose flags a filter
 * cannot see, to clone; libuv from io_uring, which does its work past every filter, to epoll.
 */
export const absentCalls = {
  clone3: { x64: 435, arm64: 435 },
  io_uring_setup: { x64: 425, arm64: 425 },
  io_uring_enter: { x64: 426, arm64: 426 },
  io_uring_register: { x64: 427, arm64: 427 },
} as const satisfies Record<string, Numbers>;

/** What is looked at by its arguments. */
export const examinedCalls = {
  clone: { x64: 56, arm64: 220 },
  ioctl: { x64: 16, arm64: 29 },
  personality: { x64: 135, arm64: 92 },
  socket: { x64: 41, arm64: 198 },
  socketpair: { x64: 53, arm64: 199 },
} as const satisfies Record<string, Numbers>;
