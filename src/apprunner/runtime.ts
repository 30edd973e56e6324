/** The programs that Maestro brings along for apps. Absolute paths. */
export type Runtime = {
  node: string;
  /** The server for static files: a program for Node that is given a directory. */
  staticServer: string;
};
