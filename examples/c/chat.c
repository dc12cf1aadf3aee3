// Private chat in C: `chat alice` prints an invite link, `chat bob LINK` accepts it. Then type.
//
// cc chat.c -I../../bindings-rust/c-abi -L../../bindings-rust/target/release -lchatsdk -lpthread -o chat
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chatsdk.h"

static ChatSdkClient *client;

// Ends the program for an error. The error is freed by its end.
static void require(int32_t code, ChatSdkError *error) {
    if (code == 0) return;
    fprintf(stderr, "%s: %s\n", chatsdk_error_name(error), chatsdk_error_message(error));
    exit(1);
}

// Calls a method. The result is the caller's to free.
static char *call(const char *method, const char *params) {
    char *result;
    ChatSdkError *error;
    require(chatsdk_call(client, method, params, &result, &error), error);
    return result;
}

// A text in which each %s stands for a JSON string: the text in quotes, with what is special escaped.
static char *json(const char *format, const char *first, const char *second) {
    char *one = chatsdk_json_quote(first), *two = chatsdk_json_quote(second ? second : "");
    if (one == NULL || two == NULL) {
        fprintf(stderr, "a text is not UTF-8\n");
        exit(1);
    }
    size_t size = strlen(format) + strlen(one) + strlen(two) + 1;
    char *text = malloc(size);
    if (text == NULL) abort();
    snprintf(text, size, format, one, two);
    chatsdk_string_free(one);
    chatsdk_string_free(two);
    return text;
}

static void print_field(const char *before, const char *event, const char *pointer) {
    char *value = chatsdk_json_get(event, pointer);
    if (value != NULL) {
        printf("%s%s\n", before, value);
        fflush(stdout);
    }
    chatsdk_string_free(value);
}

static void *print_events(void *unused) {
    (void)unused;
    for (;;) {
        char *event;
        // CLOSED is the end.
        if (chatsdk_next_event(client, 1000, &event, NULL) != 0) return NULL;
        if (event == NULL) continue;
        print_field("< ", event, "/message/text");
        print_field("  ✓ ", event, "/status");
        chatsdk_string_free(event);
    }
}

static void send_line(const char *line) {
    char *conversations = call("conversations", NULL);
    char *id = chatsdk_json_get(conversations, "/0/id");
    if (id != NULL) {
        char *params = json("{\"conversationId\": %s, \"content\": {\"text\": %s}}", id, line);
        chatsdk_string_free(call("send", params));
        free(params);
    }
    chatsdk_string_free(id);
    chatsdk_string_free(conversations);
}

static void meet(const char *link) {
    char *account = call("defaultAccount", NULL);
    char *id = chatsdk_json_get(account, "/id");
    if (link != NULL) {
        char *params = json("{\"accountId\": %s, \"link\": %s, \"content\": {\"text\": \"Hello!\"}}", id, link);
        chatsdk_string_free(call("acceptInvite", params));
        free(params);
    } else {
        char *params = json("{\"accountId\": %s}", id, NULL);
        char *invite = call("createInvite", params);
        print_field("Share this link: ", invite, "/link");
        chatsdk_string_free(invite);
        free(params);
    }
    chatsdk_string_free(id);
    chatsdk_string_free(account);
}

int main(int argc, char **argv) {
    const char *node = getenv("WAKU_NODE");
    char path[4096];
    snprintf(path, sizeof path, "%s.db", argc > 1 ? argv[1] : "alice");
    char *options = json("{\"path\": %s, \"peers\": [%s], \"storageKey\": {\"unprotected\": true}}", path,
                         node ? node : "/ip4/127.0.0.1/tcp/24201/ws");
    ChatSdkError *error;
    require(chatsdk_open(options, &client, &error), error);
    free(options);

    char *conversations = call("conversations", NULL);
    if (strcmp(conversations, "[]") == 0) meet(argc > 2 ? argv[2] : NULL);
    chatsdk_string_free(conversations);

    pthread_t printing;
    if (pthread_create(&printing, NULL, print_events, NULL) != 0) abort();
    char line[4096];
    while (fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] != '\0') send_line(line);
    }
    require(chatsdk_close(client, &error), error);
    pthread_join(printing, NULL);
    chatsdk_free(client);
    return 0;
}
