import { MaestroError } from "../../errors.ts";
import {
  and,
  answer,
  assemble,
  type Instruction,
  load,
  unlessOneOf,
  whenAnyBit,
  whenAtLeast,
  whenEqual,
} from "./bpf.ts";
import { absentCalls, examinedCalls, type Numbers, refusedCalls } from "./system-calls.ts";

/** By their names in Node (`process.arch`), AUDIT_ARCH_X86_64 and AUDIT_ARCH_AARCH64 of linux/audit.h. */
const architectures = { x64: 0xc000003e, arm64: 0xc00000b7 } as const;
type Architecture = keyof typeof architectures;

/** errno(3), the same on both architectures. */
const errors = { EPERM: 1, ENOSYS: 38, EPROTONOSUPPORT: 93, ESOCKTNOSUPPORT: 94, EAFNOSUPPORT: 97 } as const;

/** seccomp(2): SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO, SECCOMP_RET_KILL_PROCESS. */
const allow = [answer(0x7fff0000)];
const kill = [answer(0x80000000)];
const refuse = (error: keyof typeof errors) => [answer(0x00050000 | errors[error])];

/** Offsets in struct seccomp_data, seccomp(2). The low half of an argument: none that is looked at has more. */
const [numberAt, architectureAt] = [0, 4];
const argumentAt = (index: number) => 16 + 8 * index;

/** Whether there is a filter for an architecture, by its name in Node. */
export function hasFilter(architecture: string): architecture is Architecture {
  return Object.hasOwn(architectures, architecture);
}

/**
 * The seccomp filter of apps, for `bwrap --seccomp FD`: refuses what no web application needs, and allows the rest.
 * Programs of another architecture end by SIGSYS; calls of the x32 ABI do not exist.
 * Throws `ISOLATION_TOO_WEAK` where the numbers of the system calls are not known.
 */
export function seccompFilter(architecture: string = process.arch): Buffer {
  if (!hasFilter(architecture)) {
    const message = `there is no filter for the system calls of ${architecture}; use a machine with x64 or arm64`;
    throw new MaestroError("ISOLATION_TOO_WEAK", message, { architecture });
  }
  return assemble([
    load(architectureAt),
    ...unlessOneOf([architectures[architecture]], kill),
    load(numberAt),
    ...(architecture === "x64" ? whenAtLeast(x32Bit, refuse("ENOSYS")) : []),
    ...onCalls(refusedCalls, architecture, () => refuse("EPERM")),
    ...onCalls(absentCalls, architecture, () => refuse("ENOSYS")),
    ...onCalls(examinedCalls, architecture, (name) => examinations[name]),
    ...allow,
  ]);
}

/** __X32_SYSCALL_BIT of asm/unistd.h: a second way to almost every call, by another number. */
const x32Bit = 0x40000000;

function onCalls<Name extends string>(
  calls: Readonly<Record<Name, Numbers>>,
  architecture: Architecture,
  then: (name: Name) => readonly Instruction[],
): Instruction[] {
  const names = Object.keys(calls).filter((name): name is Name => Object.hasOwn(calls, name));
  return names.flatMap((name) => {
    const number = calls[name][architecture];
    return number === null ? [] : whenEqual(number, then(name));
  });
}

/** clone(2): CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. NEWTIME cannot be had by clone. */
const newNamespaces = 0x7e020000;

/** ioctl_tty(2), ioctl_console(2): TIOCSTI types into the terminal for its next reader, TIOCLINUX pastes there. */
const typingCommands = [0x5412, 0x541c];

/** personality(2): PER_LINUX, PER_LINUX32, each also with UNAME26, and the question which it is. */
const harmlessPersonalities = [0x0, 0x8, 0x20000, 0x20008, 0xffffffff];

/** socket(2), linux/socket.h. NETLINK_ROUTE, which lists addresses and interfaces, is netlink's protocol 0. */
const families = { unix: 1, inet: 2, inet6: 10, netlink: 16 };
const netlinkRoute = 0;

/** SOCK_STREAM, SOCK_DGRAM and SOCK_RAW (which needs a capability), below the flags of socket(2). */
const [socketTypes, typeBits] = [[1, 2, 3], 0xf];

/** The default; TCP, UDP; ICMP and ICMPv6 for ping. No SCTP, DCCP, MPTCP, SMC, L2TP. */
const internetProtocols = [0, 6, 17, 1, 58];

const onlyUnix = whenEqual(families.unix, allow);

const examinations: Record<keyof typeof examinedCalls, readonly Instruction[]> = {
  clone: [load(argumentAt(0)), ...whenAnyBit(newNamespaces, refuse("EPERM")), ...allow],
  ioctl: [
    load(argumentAt(1)),
    ...typingCommands.flatMap((command) => whenEqual(command, refuse("EPERM"))),
    ...allow,
  ],
  personality: [load(argumentAt(0)), ...unlessOneOf(harmlessPersonalities, refuse("EPERM")), ...allow],
  socket: [
    load(argumentAt(0)),
    ...onlyUnix,
    ...whenEqual(families.netlink, [
      load(argumentAt(2)),
      ...unlessOneOf([netlinkRoute], refuse("EPROTONOSUPPORT")),
      ...allow,
    ]),
    ...unlessOneOf([families.inet, families.inet6], refuse("EAFNOSUPPORT")),
    load(argumentAt(1)),
    and(typeBits),
    ...unlessOneOf(socketTypes, refuse("ESOCKTNOSUPPORT")),
    load(argumentAt(2)),
    ...unlessOneOf(internetProtocols, refuse("EPROTONOSUPPORT")),
    ...allow,
  ],
  socketpair: [load(argumentAt(0)), ...onlyUnix, ...refuse("EAFNOSUPPORT")],
};
