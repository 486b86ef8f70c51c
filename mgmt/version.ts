/** The version of mortar. */
export const VERSION = "0.1.0";
