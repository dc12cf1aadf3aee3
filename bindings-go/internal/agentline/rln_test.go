package agentline_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"chatsdk"
	"chatsdk/abi"
	"chatsdk/internal/agentline"
	"chatsdk/internal/fault"
)

func answers(t *testing.T, newMembership agentline.NewMembership, lines ...string) string {
	t.Helper()
	var out bytes.Buffer
	transports := agentline.Transports{"light": agentline.Light}
	ending, closing := agentline.Run(t.Context(), []string{"light"}, transports, newMembership, strings.NewReader(strings.Join(lines, "\n")), &out)
	if ending != nil || closing != nil {
		t.Fatalf("%v, %v", ending, closing)
	}
	return out.String()
}

func TestS1_AnAgentWithoutRLNSaysSo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "chat.db")
	got := answers(t, nil, `{"id":1,"method":"open","params":{"path":"`+path+`","storageKey":{"unprotected":true},"rln":{"groupFile":"group.json"}}}`)
	if !strings.Contains(got, `"error":{"code":"AGENT","message":"rln: this agent was built without RLN`) {
		t.Errorf("got %s", got)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("a database was made: %v", err)
	}
}

func TestS1_AnAgentReadsTheFilesOfRLN(t *testing.T) {
	folder := t.TempDir()
	group, credentials := filepath.Join(folder, "group.json"), filepath.Join(folder, "member-0.json")
	for path, content := range map[string]string{group: "the group", credentials: "the member"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var given []string
	newMembership := func(group io.Reader, credentials []byte) (chatsdk.Membership, error) {
		text, err := io.ReadAll(group)
		given = append(given, string(text)+" and "+string(credentials))
		if err != nil {
			return nil, err
		}
		return nil, fault.New(abi.ErrorCode_INVALID_ARGUMENT, "rln.group: refused")
	}
	open := `{"id":1,"method":"open","params":{"path":"","storageKey":{"unprotected":true},"rln":`
	got := answers(t, newMembership,
		open+`{"groupFile":"`+group+`","credentialsFile":"`+credentials+`","circuitFolder":"anywhere"}}}`,
		open+`{"groupFile":"`+group+`"}}}`,
		open+`{"groupFile":"`+filepath.Join(folder, "nothing")+`"}}}`)
	if strings.Join(given, ", ") != "the group and the member, the group and " {
		t.Errorf("given: %q", given)
	}
	if strings.Count(got, "rln.group: refused") != 2 || strings.Count(got, `"code":"AGENT"`) != 1 {
		t.Errorf("got %s", got)
	}
}
