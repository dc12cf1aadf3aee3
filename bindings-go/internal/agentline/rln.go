package agentline

import (
	"bytes"
	"os"

	"chatsdk"
)

// rlnParams are open's rln, as far as this language has use for it.
type rlnParams struct {
	GroupFile       string `json:"groupFile"`
	CredentialsFile string `json:"credentialsFile"`
}

func (a *Agent) membership(given rlnParams) (chatsdk.Membership, error) {
	if a.newMembership == nil {
		return nil, agentError("rln: this agent was built without RLN; start the one of waku/rln/internal/agent")
	}
	group, err := os.ReadFile(given.GroupFile)
	if err != nil {
		return nil, agentError("rln.groupFile: %v", err)
	}
	var credentials []byte
	if given.CredentialsFile != "" {
		if credentials, err = os.ReadFile(given.CredentialsFile); err != nil {
			return nil, agentError("rln.credentialsFile: %v", err)
		}
		defer clear(credentials)
	}
	return a.newMembership(bytes.NewReader(group), credentials)
}
