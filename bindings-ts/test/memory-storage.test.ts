import { storageSuite } from "../../conformance/src/storage-suite.ts";
import { MemoryStorage } from "../src/storage/memory-storage.ts";

storageSuite("MemoryStorage", async () => {
  const storage = new MemoryStorage();
  return { storage, reopen: async () => storage };
});
