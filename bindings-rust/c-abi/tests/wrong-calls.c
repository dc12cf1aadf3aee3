// Calls that a careless program makes. Each must fail with an error, and none may crash.
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "chatsdk.h"

enum { INVALID_ARGUMENT = 1, CONVERSATION_NOT_FOUND = 9, DATABASE_LOCKED = 19, CLOSED = 24 };

#define EXPECT(expected, call)                                                                  \
    do {                                                                                        \
        ChatSdkError *error = NULL;                                                             \
        int32_t code = (call);                                                                  \
        if (code != (expected)) {                                                               \
            fprintf(stderr, "line %d: %d: %s\n", __LINE__, code, code ? chatsdk_error_message(error) : ""); \
            return 1;                                                                           \
        }                                                                                       \
        if (code != 0) {                                                                        \
            assert(chatsdk_error_code(error) == code);                                          \
            assert(strlen(chatsdk_error_name(error)) > 0 && strlen(chatsdk_error_message(error)) > 0); \
            assert(chatsdk_error_retryable(error) == (code == DATABASE_LOCKED));                \
        } else {                                                                                \
            assert(error == NULL);                                                              \
        }                                                                                       \
        chatsdk_error_free(error);                                                              \
    } while (0)

int main(int argc, char **argv) {
    assert(argc == 2);
    ChatSdkClient *client = NULL, *second = NULL;
    char *result = NULL;
    EXPECT(INVALID_ARGUMENT, chatsdk_open(NULL, &client, &error));
    EXPECT(INVALID_ARGUMENT, chatsdk_open("{}", NULL, &error));
    EXPECT(INVALID_ARGUMENT, chatsdk_open("no json", &client, &error));
    EXPECT(INVALID_ARGUMENT, chatsdk_open("{}", &client, &error));
    EXPECT(INVALID_ARGUMENT, chatsdk_open("\xff\xfe", &client, &error));
    EXPECT(INVALID_ARGUMENT, chatsdk_open("{\"path\": \"/none/a.db\", \"storageKey\": {\"unprotected\": true}}", &client, &error));
    assert(client == NULL && chatsdk_open("{}", &client, NULL) == INVALID_ARGUMENT);
    char misspelt[4096];
    snprintf(misspelt, sizeof misspelt, "{\"path\": \"%s\", \"storageKey\": {\"unprotected\": true}, \"peer\": []}", argv[1]);
    EXPECT(INVALID_ARGUMENT, chatsdk_open(misspelt, &client, &error));

    char options[4096];
    snprintf(options, sizeof options, "{\"path\": \"%s\", \"storageKey\": {\"unprotected\": true}}", argv[1]);
    EXPECT(0, chatsdk_open(options, &client, &error));
    EXPECT(DATABASE_LOCKED, chatsdk_open(options, &second, &error));
    assert(second == NULL);

    EXPECT(INVALID_ARGUMENT, chatsdk_call(NULL, "accounts", NULL, &result, &error));
    EXPECT(INVALID_ARGUMENT, chatsdk_call(client, NULL, NULL, &result, &error));
    EXPECT(INVALID_ARGUMENT, chatsdk_call(client, "fly", NULL, &result, &error));
    EXPECT(INVALID_ARGUMENT, chatsdk_call(client, "send", NULL, &result, &error));
    EXPECT(INVALID_ARGUMENT, chatsdk_call(client, "send", "[1, 2", &result, &error));
    EXPECT(CONVERSATION_NOT_FOUND, chatsdk_call(client, "conversation", "{\"conversationId\": \"none\"}", &result, &error));
    EXPECT(INVALID_ARGUMENT, chatsdk_call(client, "conversation", "{\"conversationID\": \"none\"}", &result, &error));
    EXPECT(INVALID_ARGUMENT, chatsdk_call(client, "conversation", "{\"conversationId\": \"none\", \"limit\": 1}", &result, &error));
    EXPECT(INVALID_ARGUMENT, chatsdk_call(client, "accounts", "{\"accountId\": \"none\"}", &result, &error));
    EXPECT(INVALID_ARGUMENT, chatsdk_next_event(client, 10, NULL, &error));
    EXPECT(0, chatsdk_call(client, "createAccount", NULL, NULL, &error));
    EXPECT(0, chatsdk_call(client, "accounts", "{}", &result, &error));

    char *id = chatsdk_json_get(result, "/0/id");
    assert(id != NULL && strlen(id) == 32);
    chatsdk_string_free(id);
    assert(chatsdk_json_get(result, "/1") == NULL && chatsdk_json_get("{", "") == NULL && chatsdk_json_get(NULL, NULL) == NULL);
    char *quoted = chatsdk_json_quote("a \"b\"\n");
    assert(strcmp(quoted, "\"a \\\"b\\\"\\n\"") == 0);
    chatsdk_string_free(quoted);
    assert(chatsdk_json_quote("\xff") == NULL);
    chatsdk_string_free(result);

    do {
        EXPECT(0, chatsdk_next_event(client, 200, &result, &error));
        chatsdk_string_free(result);
    } while (result != NULL);
    EXPECT(0, chatsdk_close(client, &error));
    EXPECT(0, chatsdk_close(client, &error));
    EXPECT(CLOSED, chatsdk_call(client, "accounts", NULL, &result, &error));
    EXPECT(CLOSED, chatsdk_next_event(client, 10, &result, &error));
    chatsdk_free(client);
    chatsdk_free(NULL);
    chatsdk_string_free(NULL);
    chatsdk_error_free(NULL);
    assert(chatsdk_error_code(NULL) == 0 && chatsdk_error_message(NULL) == NULL);
    return 0;
}
