// docs/errors.md.
import { GENERATED, type Language } from "../language.ts";
import { upperFirst } from "../text.ts";

export const generateErrorGlossary: Language = ({ errors }) => [
  {
    path: "errors.md",
    text: `<!-- ${GENERATED} From abi/proto/errors.proto. -->

# Errors

Every failed call fails with one of these codes, the same in every language. An error has

| Part | For |
|---|---|
| code | the program: what to do, as below |
| message | a developer: names the field that is wrong, and the remedy. It never holds a secret or the text of a message |
| retryable | the program: true if the same call may succeed later |

A call that failed has changed nothing, unless its row says otherwise.

| Number | Code | What happened | What to do |
|---|---|---|---|
${errors
  .map(
    ({ name, number, what, remedy }) =>
      `| ${number} | <a id="${name.toLowerCase()}"></a>\`${name}\` | ${what} | ${upperFirst(remedy)} |`,
  )
  .join("\n")}

A message that fails after it was accepted is no error of a call: it comes as an event, with a reason (\`EXPIRED\`, \`CANCELLED\`,
\`SESSION_REPLACED\`).`,
  },
];
