/** The version of mortar. */
export const VERSION = "0.1.0";

/** The GlusterFS release whose wire protocol we speak, as clients report theirs. */
export const GLUSTERFS_VERSION = "10.3";
