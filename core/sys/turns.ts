/**
 * Whether others wait for who does something in place that may take a while, as reading from a disk.
 * On one thread nothing else goes on meanwhile: that is right only while nobody else comes.
 */

/** One for the thread: who holds it up says so, the loop that waits for descriptors tells who had come. */
export const turns = {
  /** Something was done in place since the loop waited last. */
  held: false,
  /** How many times in a row somebody had come by the time the loop waited next. */
  crowded: 0,
};
