// The hash by which a host and a module know that they were made from the same schemas.
import { createHash } from "node:crypto";
import { clone, create, type DescFile, toBinary } from "@bufbuild/protobuf";
import { type FileDescriptorProto, FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";

/** SHA-256, in hexadecimal, of the files' descriptors without comments, ordered by file name. */
export function contractHash(files: readonly DescFile[]): string {
  const file = files.map(({ proto }) => withoutComments(proto)).sort((a, b) => (a.name < b.name ? -1 : 1));
  const set = create(FileDescriptorSetSchema, { file });
  return createHash("sha256").update(toBinary(FileDescriptorSetSchema, set)).digest("hex");
}

function withoutComments(file: FileDescriptorProto): FileDescriptorProto {
  const copy = clone(FileDescriptorProtoSchema, file);
  delete copy.sourceCodeInfo;
  return copy;
}
