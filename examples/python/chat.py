"""Private chat in Python: `python chat.py alice` prints an invite link, `python chat.py bob LINK` accepts it. Then type.

Needs libchatsdk: `cargo build --release -p chatsdk-c` in bindings-rust, or its path in CHATSDK_LIBRARY.
"""

import ctypes
import json
import os
import pathlib
import sys
import threading

BUILT = pathlib.Path(__file__).parent / "../../bindings-rust/target/release/libchatsdk.so"


def load(path):
    library = ctypes.CDLL(path)
    pointer, text = ctypes.c_void_p, ctypes.c_char_p
    out = ctypes.POINTER(ctypes.c_void_p)
    for name, result, arguments in [
        ("chatsdk_open", ctypes.c_int32, [text, out, out]),
        ("chatsdk_call", ctypes.c_int32, [pointer, text, text, out, out]),
        ("chatsdk_next_event", ctypes.c_int32, [pointer, ctypes.c_uint32, out, out]),
        ("chatsdk_close", ctypes.c_int32, [pointer, out]),
        ("chatsdk_free", None, [pointer]),
        ("chatsdk_string_free", None, [pointer]),
        ("chatsdk_error_name", text, [pointer]),
        ("chatsdk_error_message", text, [pointer]),
        ("chatsdk_error_retryable", ctypes.c_bool, [pointer]),
        ("chatsdk_error_free", None, [pointer]),
    ]:
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


class ChatError(Exception):
    """A failed call: `code` such as "WRONG_KEY", and whether the same call may succeed later."""

    def __init__(self, code, message, retryable):
        super().__init__(f"{code}: {message}")
        self.code, self.retryable = code, retryable


class Chat:
    """A chat client. Methods, parameters and results are those of conformance/agent/PROTOCOL.md."""

    def __init__(self, library, **options):
        self._library = library
        self._client = ctypes.c_void_p()
        self._check(library.chatsdk_open, json.dumps(options).encode(), ctypes.byref(self._client))

    def call(self, method, **params):
        result = ctypes.c_void_p()
        self._check(
            self._library.chatsdk_call, self._client, method.encode(), json.dumps(params).encode(), ctypes.byref(result)
        )
        return json.loads(self._take(result))

    def events(self):
        """What happens, until the client is closed."""
        while True:
            event = ctypes.c_void_p()
            try:
                self._check(self._library.chatsdk_next_event, self._client, 1000, ctypes.byref(event))
            except ChatError as error:
                if error.code == "CLOSED":
                    return
                raise
            if event:
                yield json.loads(self._take(event))

    def close(self):
        self._check(self._library.chatsdk_close, self._client)

    def free(self):
        """Must be the last call, when no other thread is in one."""
        self._library.chatsdk_free(self._client)
        self._client = None

    def _check(self, function, *arguments):
        error = ctypes.c_void_p()
        if function(*arguments, ctypes.byref(error)) == 0:
            return
        library = self._library
        code, message = library.chatsdk_error_name(error).decode(), library.chatsdk_error_message(error).decode()
        retryable = library.chatsdk_error_retryable(error)
        library.chatsdk_error_free(error)
        raise ChatError(code, message, retryable)

    def _take(self, text):
        value = ctypes.string_at(text)
        self._library.chatsdk_string_free(text)
        return value.decode()


def show(chat):
    for event in chat.events():
        if event["type"] == "messageReceived" and "text" in event["message"]:
            print("<", event["message"]["text"], flush=True)
        elif event["type"] == "messageStatusChanged":
            print("  ✓", event["status"], flush=True)


def main():
    name = sys.argv[1] if len(sys.argv) > 1 else "alice"
    node = os.environ.get("WAKU_NODE", "/ip4/127.0.0.1/tcp/24201/ws")
    library = load(os.environ.get("CHATSDK_LIBRARY", str(BUILT.resolve())))
    chat = Chat(library, path=f"{name}.db", storageKey={"unprotected": True}, peers=[node])
    me = chat.call("defaultAccount")
    if not chat.call("conversations"):
        if len(sys.argv) > 2:
            chat.call("acceptInvite", accountId=me["id"], link=sys.argv[2], content={"text": "Hello!"})
        else:
            print("Share this link:", chat.call("createInvite", accountId=me["id"])["link"], flush=True)
    showing = threading.Thread(target=show, args=(chat,))
    showing.start()
    for line in sys.stdin:
        conversations = chat.call("conversations")
        if line.strip() and conversations:
            chat.call("send", conversationId=conversations[0]["id"], content={"text": line.rstrip("\n")})
    chat.close()
    showing.join()
    chat.free()


if __name__ == "__main__":
    main()
