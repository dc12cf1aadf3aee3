#ifndef CHATSDK_H
#define CHATSDK_H

// Generated from c-abi/src by cbindgen. Do not edit.

#include <stdbool.h>
#include <stdint.h>

// The Chat SDK for C: private 1:1 chat over Waku.
//
// Strings end in NUL and are UTF-8. What a function gives in an out parameter belongs to the caller: strings are freed with
// chatsdk_string_free, errors with chatsdk_error_free, clients with chatsdk_free. What the caller passes in stays the caller's.
// Where an out parameter is NULL, what would have gone there is freed.
//
// Functions that can fail return 0, or the number of the error (docs/errors.md). Any thread may call any function, several at a
// time with the same client; only chatsdk_free must be the last call with a client. Calls block. No call may be made from a
// signal handler, nor in a child after fork.

// A chat client. Any thread may use it, several at a time.
typedef struct ChatSdkClient ChatSdkClient;

// Why a call failed.
typedef struct ChatSdkError ChatSdkError;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Opens a client. `options` is JSON:
//
// `{"path": "alice.db", "storageKey": {"passphrase": "..."}, "peers": ["/ip4/127.0.0.1/tcp/60000"]}`
//
// `path`: the database file, made if there is none. `storageKey`: `{"passphrase": text}`, `{"rawKey": 64 hexadecimal digits}` or
// `{"unprotected": true}`. `peers`: multiaddrs of service nodes, over TCP or websockets. Optional: `clusterId` (42), `shardCount`
// (8), `transport` ("light" or "relay"), `acceptRollback` (false), `protocol`, and `rln`, in a library that is built with the feature
// rln: `{"group": text, "credentials": text}`, the contents, not the paths, of group.json and member-N.json of a network with RLN. The
// credentials are needed once, the database keeps them: leave them out later. Never give the same to two databases. Other names are
// refused, and so are names given twice.
//
// Returns 0, and the client in `client`; or the code of the error, and the error in `error`.
//
// # Safety
// `options` is a string that ends in NUL. `client` points to where a pointer may be written, `error` too, or is NULL.
int32_t chatsdk_open(const char *options,
                     struct ChatSdkClient **client,
                     struct ChatSdkError **error);

// Calls a method of the client, such as "send" with `{"conversationId": "...", "content": {"text": "Hello"}}`. Methods, parameters and
// results are those of conformance/agent/PROTOCOL.md; `params` may be NULL where a method needs none. Names that it does not have are
// refused.
//
// Returns 0, and the result as JSON in `result`, to be freed with `chatsdk_string_free`; or the code of the error, and the error in
// `error`. Blocks until what the method changes is durable.
//
// # Safety
// `client` is open and not freed. `method` and `params` are strings that end in NUL; `params` may be NULL. `result` and `error` point
// to where pointers may be written, or are NULL.
int32_t chatsdk_call(const struct ChatSdkClient *client,
                     const char *method,
                     const char *params,
                     char **result,
                     struct ChatSdkError **error);

// Waits for the next event, at most `timeout_ms` milliseconds. Events, as JSON, are those of conformance/agent/PROTOCOL.md. An event is
// stored until the next one is asked for: one that was not dealt with comes again after a restart.
//
// Returns 0, and the event in `event`, to be freed with `chatsdk_string_free`, or NULL if none came in time; or the code of the error,
// which is that of CLOSED once the client is closed.
//
// # Safety
// `client` is open and not freed. `event` points to where a pointer may be written, `error` too, or is NULL.
int32_t chatsdk_next_event(const struct ChatSdkClient *client,
                           uint32_t timeout_ms,
                           char **event,
                           struct ChatSdkError **error);

// Finishes what is under way (at most three seconds for messages on their way to a node), disconnects and closes the database. Other
// calls then fail with CLOSED. A second call does nothing. The client must still be freed.
//
// # Safety
// `client` is not freed. `error` points to where a pointer may be written, or is NULL.
int32_t chatsdk_close(const struct ChatSdkClient *client,
                      struct ChatSdkError **error);

// Frees a client; one that is not closed is closed. NULL is allowed.
//
// # Safety
// `client` is NULL, or came from `chatsdk_open`, was not freed before, and no other thread uses it.
void chatsdk_free(struct ChatSdkClient *client);

// The number of an error, the same in every language: see docs/errors.md. 0 for NULL.
//
// # Safety
// `error` is NULL or an error that was not freed.
int32_t chatsdk_error_code(const struct ChatSdkError *error);

// The name of an error's code, such as "WRONG_KEY". It lives as long as the error. NULL for NULL.
//
// # Safety
// `error` is NULL or an error that was not freed.
const char *chatsdk_error_name(const struct ChatSdkError *error);

// For a developer: names the field and the remedy, and never holds a secret. It lives as long as the error. NULL for NULL.
//
// # Safety
// `error` is NULL or an error that was not freed.
const char *chatsdk_error_message(const struct ChatSdkError *error);

// True if the same call may succeed later. False for NULL.
//
// # Safety
// `error` is NULL or an error that was not freed.
bool chatsdk_error_retryable(const struct ChatSdkError *error);

// Frees an error. NULL is allowed.
//
// # Safety
// `error` is NULL, or came from this library and was not freed before.
void chatsdk_error_free(struct ChatSdkError *error);

// The value at a JSON pointer (RFC 6901) such as "/message/text": a string as it is, anything else as JSON. NULL if there is no
// such value, or if it is null. Free it with `chatsdk_string_free`.
//
// # Safety
// `json` and `pointer` are strings that end in NUL.
char *chatsdk_json_get(const char *json,
                       const char *pointer);

// A text as a JSON string, with its quotes, to be put into parameters. NULL if it is no UTF-8. Free it with
// `chatsdk_string_free`.
//
// # Safety
// `text` is a string that ends in NUL.
char *chatsdk_json_quote(const char *text);

// Frees a string that this library gave. NULL is allowed.
//
// # Safety
// `text` is NULL, or came from this library and was not freed before.
void chatsdk_string_free(char *text);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* CHATSDK_H */
