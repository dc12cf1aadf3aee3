/** What each program of an engine prints as its last line. Speeds count processor time: the median of parts of 20 messages. */
export interface Result {
  /** From the module's bytes to code; 0 where there is no module. With a filled cache: loading it. */
  compileMs: number;
  /** Of the second of two instances. */
  instantiateMs: number;
  /** A message encrypted by one side and taken in by the other, in these two steps. */
  pingPongPerSecond: number;
  /** The same with all that a host feeds beside: publish results, acknowledgements of events, timers. */
  messagesPerSecond: number;
  /** Messages, and the linear memory of the larger instance after them, in bytes. */
  memory: [messages: number, bytes: number][];
  /** SHA-256 over all results up to the twentieth message; empty for a shorter run. */
  digest: string;
}
