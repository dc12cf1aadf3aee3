// Holds a database file as the TypeScript client does, until standard input ends. `node hold.mjs FILE`
import { DatabaseSync } from "node:sqlite";

const database = new DatabaseSync(process.argv[2]);
database.exec("PRAGMA locking_mode = EXCLUSIVE");
try {
  database.prepare("SELECT count(*) FROM meta").get();
  console.log("held");
} catch (error) {
  console.log(error.errcode === 5 ? "busy" : String(error));
}
process.stdin.resume();
