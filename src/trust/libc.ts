/**
 * The libc calls of the trust layer, one to one, named as in C. Nothing here interprets anything. koffi is loaded
 * with this module, which is the first thing an ingero process loads (start.ts).
 */
import koffi from 'koffi';

const libc = koffi.load('libc.so.6');

type Fn<A extends unknown[], R> = (...args: A) => R;

/** `struct sock_fprog` (linux/filter.h): `length` instructions of 8 bytes. */
koffi.struct('sock_fprog', { length: 'unsigned short', program: 'void *' });

/** `struct passwd` (pwd.h). */
koffi.struct('passwd', {
  name: 'const char *',
  password: 'const char *',
  uid: 'unsigned int',
  gid: 'unsigned int',
  gecos: 'const char *',
  dir: 'const char *',
  shell: 'const char *',
});

/** A user as the name service knows it. */
export interface Passwd {
  name: string;
  uid: number;
  gid: number;
  dir: string;
  shell: string;
}

/** prctl(2), of the calling thread. */
export const prctl = libc.func(
  'int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)',
) as Fn<[number, number, number, number, number], number>;

/** syscall(2) for seccomp(2), which glibc has no function for. */
export const seccomp = libc.func('syscall', 'long', [
  'long',
  'unsigned int',
  'unsigned int',
  'sock_fprog *',
]) as Fn<[number, number, number, { length: number; program: Buffer }], number>;

/** syscall(2) for a call without arguments. */
export const syscall = libc.func('long syscall(long number)') as Fn<[number], number>;

/** socket(2). */
export const socket = libc.func('int socket(int family, int type, int protocol)') as Fn<
  [number, number, number],
  number
>;

/** capset(2), of the calling thread. */
export const capset = libc.func('int capset(void *header, const void *data)') as Fn<[Buffer, Buffer], number>;

/** signal(2); only SIG_DFL (null) is ever given. */
export const signal = libc.func('void *signal(int number, void *handler)') as Fn<[number, null], unknown>;

/** execvpe(3): execve(2) that hands a script without `#!` to the shell. Returns only when it failed. */
export const execvpe = libc.func('int execvpe(const char *path, const char **argv, const char **envp)') as Fn<
  [string, (string | null)[], (string | null)[]],
  number
>;

/** flock(2). */
export const flock = libc.func('int flock(int fd, int operation)') as Fn<[number, number], number>;

/** fcntl(2) with an integer argument, whose type koffi takes before it. */
export const fcntl = libc.func('int fcntl(int fd, int command, ...)') as Fn<
  [number, number, 'int', number],
  number
>;

const getpwuidPointer = libc.func('passwd *getpwuid(unsigned int uid)') as Fn<[number], object | null>;
const getpwnamPointer = libc.func('passwd *getpwnam(const char *name)') as Fn<[string], object | null>;
const strerror = libc.func('const char *strerror(int code)') as Fn<[number], string>;

/** getpwuid(3); null when there is no such user. */
export function getpwuid(uid: number): Passwd | null {
  const found = getpwuidPointer(uid);
  return found === null ? null : (koffi.decode(found, 'passwd') as Passwd);
}

/** getpwnam(3); null when there is no such user. */
export function getpwnam(name: string): Passwd | null {
  const found = getpwnamPointer(name);
  return found === null ? null : (koffi.decode(found, 'passwd') as Passwd);
}

/** initgroups(3): the groups of a user, for all threads. */
export const initgroups = libc.func('int initgroups(const char *user, unsigned int group)') as Fn<
  [string, number],
  number
>;

/** errno of the last native call, and its text. */
export function lastErrno(): { code: number; text: string } {
  const code = koffi.errno();
  return { code, text: strerror(code) };
}
