/**
 * Failures of fops. One shared instance per error number: building an `Error` costs microseconds,
 * and a lookup misses on every create. A failure that carries something is derived with `carrying`.
 */

import type { Iatt } from "core/iatt.ts";
import type { Xdata } from "core/xdata.ts";

/** What a failing layer may send up beside the error number. */
export interface Carried {
  /** What the failing layer wants the caller to know. */
  readonly xdata?: Xdata | undefined;
  /** A named lookup that missed still tells the parent's attributes. */
  readonly postParent?: Iatt | undefined;
}

/** A fop's failure: what GlusterFS returns as op_ret = -1 and op_errno. */
export class FopError extends Error implements Carried {
  override readonly name = "FopError";
  readonly xdata?: Xdata | undefined;
  readonly postParent?: Iatt | undefined;

  constructor(
    /** Linux name, "ENOENT". */
    readonly code: string,
    /** Linux number, as on the wire. */
    readonly errno: number,
    message: string,
  ) {
    super(`${code}: ${message}`);
  }

  /** True if `err` is this failure, wherever it was raised and whatever it carries. */
  matches(err: unknown): err is FopError {
    return err instanceof FopError && err.errno === this.errno;
  }

  /** The same failure with something for the caller; shares the stack and costs no `Error`. */
  carrying(carried: Carried): FopError {
    // Derived from the shared one, never from a derived one: V8 makes a hidden class for each object
    // that others are derived from, and whoever looks at those is slow.
    if (Object.hasOwn(this, "errno")) return Object.assign(Object.create(this), carried);
    const { xdata, postParent } = this;
    const derived = Object.create(Object.getPrototypeOf(this));
    return Object.assign(derived, { xdata, postParent, ...carried });
  }
}

const byNumber = new Map<number, FopError>();

function errno(code: string, number: number, message: string): FopError {
  const failure = new FopError(code, number, message);
  // A shared instance has no useful stack: it would show this module's load.
  failure.stack = `${failure.name}: ${failure.message}`;
  byNumber.set(number, failure);
  return failure;
}

/**
 * The shared failure for a Linux error number, positive or negative (a system call's result).
 * A number without a name is kept, so that a peer's odd answer is reported as it was.
 */
export function fopError(number: number): FopError {
  const positive = Math.abs(number);
  return byNumber.get(positive) ?? errno(`E${positive}`, positive, "unknown error number");
}

export const EPERM = errno("EPERM", 1, "Operation not permitted");
export const ENOENT = errno("ENOENT", 2, "No such file or directory");
export const ESRCH = errno("ESRCH", 3, "No such process");
export const EINTR = errno("EINTR", 4, "Interrupted system call");
export const EIO = errno("EIO", 5, "Input/output error");
export const ENXIO = errno("ENXIO", 6, "No such device or address");
export const E2BIG = errno("E2BIG", 7, "Argument list too long");
export const ENOEXEC = errno("ENOEXEC", 8, "Exec format error");
export const EBADF = errno("EBADF", 9, "Bad file descriptor");
export const ECHILD = errno("ECHILD", 10, "No child processes");
export const EAGAIN = errno("EAGAIN", 11, "Resource temporarily unavailable");
export const ENOMEM = errno("ENOMEM", 12, "Cannot allocate memory");
export const EACCES = errno("EACCES", 13, "Permission denied");
export const EFAULT = errno("EFAULT", 14, "Bad address");
export const ENOTBLK = errno("ENOTBLK", 15, "Block device required");
export const EBUSY = errno("EBUSY", 16, "Device or resource busy");
export const EEXIST = errno("EEXIST", 17, "File exists");
export const EXDEV = errno("EXDEV", 18, "Invalid cross-device link");
export const ENODEV = errno("ENODEV", 19, "No such device");
export const ENOTDIR = errno("ENOTDIR", 20, "Not a directory");
export const EISDIR = errno("EISDIR", 21, "Is a directory");
export const EINVAL = errno("EINVAL", 22, "Invalid argument");
export const ENFILE = errno("ENFILE", 23, "Too many open files in system");
export const EMFILE = errno("EMFILE", 24, "Too many open files");
export const ENOTTY = errno("ENOTTY", 25, "Inappropriate ioctl for device");
export const ETXTBSY = errno("ETXTBSY", 26, "Text file busy");
export const EFBIG = errno("EFBIG", 27, "File too large");
export const ENOSPC = errno("ENOSPC", 28, "No space left on device");
export const ESPIPE = errno("ESPIPE", 29, "Illegal seek");
export const EROFS = errno("EROFS", 30, "Read-only file system");
export const EMLINK = errno("EMLINK", 31, "Too many links");
export const EPIPE = errno("EPIPE", 32, "Broken pipe");
export const EDOM = errno("EDOM", 33, "Numerical argument out of domain");
export const ERANGE = errno("ERANGE", 34, "Numerical result out of range");
export const EDEADLOCK = errno("EDEADLOCK", 35, "Resource deadlock avoided");
export const ENAMETOOLONG = errno("ENAMETOOLONG", 36, "File name too long");
export const ENOLCK = errno("ENOLCK", 37, "No locks available");
export const ENOSYS = errno("ENOSYS", 38, "Function not implemented");
export const ENOTEMPTY = errno("ENOTEMPTY", 39, "Directory not empty");
export const ELOOP = errno("ELOOP", 40, "Too many levels of symbolic links");
export const ENOMSG = errno("ENOMSG", 42, "No message of desired type");
export const EIDRM = errno("EIDRM", 43, "Identifier removed");
export const ECHRNG = errno("ECHRNG", 44, "Channel number out of range");
export const EL2NSYNC = errno("EL2NSYNC", 45, "Level 2 not synchronized");
export const EL3HLT = errno("EL3HLT", 46, "Level 3 halted");
export const EL3RST = errno("EL3RST", 47, "Level 3 reset");
export const ELNRNG = errno("ELNRNG", 48, "Link number out of range");
export const EUNATCH = errno("EUNATCH", 49, "Protocol driver not attached");
export const ENOCSI = errno("ENOCSI", 50, "No CSI structure available");
export const EL2HLT = errno("EL2HLT", 51, "Level 2 halted");
export const EBADE = errno("EBADE", 52, "Invalid exchange");
export const EBADR = errno("EBADR", 53, "Invalid request descriptor");
export const EXFULL = errno("EXFULL", 54, "Exchange full");
export const ENOANO = errno("ENOANO", 55, "No anode");
export const EBADRQC = errno("EBADRQC", 56, "Invalid request code");
export const EBADSLT = errno("EBADSLT", 57, "Invalid slot");
export const EBFONT = errno("EBFONT", 59, "Bad font file format");
export const ENOSTR = errno("ENOSTR", 60, "Device not a stream");
export const ENODATA = errno("ENODATA", 61, "No data available");
export const ETIME = errno("ETIME", 62, "Timer expired");
export const ENOSR = errno("ENOSR", 63, "Out of streams resources");
export const ENONET = errno("ENONET", 64, "Machine is not on the network");
export const ENOPKG = errno("ENOPKG", 65, "Package not installed");
export const EREMOTE = errno("EREMOTE", 66, "Object is remote");
export const ENOLINK = errno("ENOLINK", 67, "Link has been severed");
export const EADV = errno("EADV", 68, "Advertise error");
export const ESRMNT = errno("ESRMNT", 69, "Srmount error");
export const ECOMM = errno("ECOMM", 70, "Communication error on send");
export const EPROTO = errno("EPROTO", 71, "Protocol error");
export const EMULTIHOP = errno("EMULTIHOP", 72, "Multihop attempted");
export const EDOTDOT = errno("EDOTDOT", 73, "RFS specific error");
export const EBADMSG = errno("EBADMSG", 74, "Bad message");
export const EOVERFLOW = errno("EOVERFLOW", 75, "Value too large for defined data type");
export const ENOTUNIQ = errno("ENOTUNIQ", 76, "Name not unique on network");
export const EBADFD = errno("EBADFD", 77, "File descriptor in bad state");
export const EREMCHG = errno("EREMCHG", 78, "Remote address changed");
export const ELIBACC = errno("ELIBACC", 79, "Can not access a needed shared library");
export const ELIBBAD = errno("ELIBBAD", 80, "Accessing a corrupted shared library");
export const ELIBSCN = errno("ELIBSCN", 81, ".lib section in a.out corrupted");
export const ELIBMAX = errno("ELIBMAX", 82, "Attempting to link in too many shared libraries");
export const ELIBEXEC = errno("ELIBEXEC", 83, "Cannot exec a shared library directly");
export const EILSEQ = errno("EILSEQ", 84, "Invalid or incomplete multibyte or wide character");
export const ERESTART = errno("ERESTART", 85, "Interrupted system call should be restarted");
export const ESTRPIPE = errno("ESTRPIPE", 86, "Streams pipe error");
export const EUSERS = errno("EUSERS", 87, "Too many users");
export const ENOTSOCK = errno("ENOTSOCK", 88, "Socket operation on non-socket");
export const EDESTADDRREQ = errno("EDESTADDRREQ", 89, "Destination address required");
export const EMSGSIZE = errno("EMSGSIZE", 90, "Message too long");
export const EPROTOTYPE = errno("EPROTOTYPE", 91, "Protocol wrong type for socket");
export const ENOPROTOOPT = errno("ENOPROTOOPT", 92, "Protocol not available");
export const EPROTONOSUPPORT = errno("EPROTONOSUPPORT", 93, "Protocol not supported");
export const ESOCKTNOSUPPORT = errno("ESOCKTNOSUPPORT", 94, "Socket type not supported");
export const EOPNOTSUPP = errno("EOPNOTSUPP", 95, "Operation not supported");
export const EPFNOSUPPORT = errno("EPFNOSUPPORT", 96, "Protocol family not supported");
export const EAFNOSUPPORT = errno("EAFNOSUPPORT", 97, "Address family not supported by protocol");
export const EADDRINUSE = errno("EADDRINUSE", 98, "Address already in use");
export const EADDRNOTAVAIL = errno("EADDRNOTAVAIL", 99, "Cannot assign requested address");
export const ENETDOWN = errno("ENETDOWN", 100, "Network is down");
export const ENETUNREACH = errno("ENETUNREACH", 101, "Network is unreachable");
export const ENETRESET = errno("ENETRESET", 102, "Network dropped connection on reset");
export const ECONNABORTED = errno("ECONNABORTED", 103, "Software caused connection abort");
export const ECONNRESET = errno("ECONNRESET", 104, "Connection reset by peer");
export const ENOBUFS = errno("ENOBUFS", 105, "No buffer space available");
export const EISCONN = errno("EISCONN", 106, "Transport endpoint is already connected");
export const ENOTCONN = errno("ENOTCONN", 107, "Transport endpoint is not connected");
export const ESHUTDOWN = errno("ESHUTDOWN", 108, "Cannot send after transport endpoint shutdown");
export const ETOOMANYREFS = errno("ETOOMANYREFS", 109, "Too many references: cannot splice");
export const ETIMEDOUT = errno("ETIMEDOUT", 110, "Connection timed out");
export const ECONNREFUSED = errno("ECONNREFUSED", 111, "Connection refused");
export const EHOSTDOWN = errno("EHOSTDOWN", 112, "Host is down");
export const EHOSTUNREACH = errno("EHOSTUNREACH", 113, "No route to host");
export const EALREADY = errno("EALREADY", 114, "Operation already in progress");
export const EINPROGRESS = errno("EINPROGRESS", 115, "Operation now in progress");
export const ESTALE = errno("ESTALE", 116, "Stale file handle");
export const EUCLEAN = errno("EUCLEAN", 117, "Structure needs cleaning");
export const ENOTNAM = errno("ENOTNAM", 118, "Not a XENIX named type file");
export const ENAVAIL = errno("ENAVAIL", 119, "No XENIX semaphores available");
export const EISNAM = errno("EISNAM", 120, "Is a named type file");
export const EREMOTEIO = errno("EREMOTEIO", 121, "Remote I/O error");
export const EDQUOT = errno("EDQUOT", 122, "Disk quota exceeded");
export const ENOMEDIUM = errno("ENOMEDIUM", 123, "No medium found");
export const EMEDIUMTYPE = errno("EMEDIUMTYPE", 124, "Wrong medium type");
export const ECANCELED = errno("ECANCELED", 125, "Operation canceled");
export const ENOKEY = errno("ENOKEY", 126, "Required key not available");
export const EKEYEXPIRED = errno("EKEYEXPIRED", 127, "Key has expired");
export const EKEYREVOKED = errno("EKEYREVOKED", 128, "Key has been revoked");
export const EKEYREJECTED = errno("EKEYREJECTED", 129, "Key was rejected by service");
export const EOWNERDEAD = errno("EOWNERDEAD", 130, "Owner died");
export const ENOTRECOVERABLE = errno("ENOTRECOVERABLE", 131, "State not recoverable");
export const ERFKILL = errno("ERFKILL", 132, "Operation not possible due to RF-kill");

/** Linux's other name for EAGAIN. */
export const EWOULDBLOCK = EAGAIN;
