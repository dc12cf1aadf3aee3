package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"

	"waku-node/rln"
)

const rlnGroupCommand = "rln-group"

// defaultRLNIdentifier sets the proofs of a group made here apart from those of the Waku network.
const defaultRLNIdentifier = "chatsdk/static-group/v1"

// maxClientEpoch is the longest epoch that clients count, in seconds. Nodes would take longer ones.
const maxClientEpoch = 24 * 3600

// rlnGroup makes the files of a new RLN group, prints one line of JSON about it, and returns the exit status.
func rlnGroup(arguments []string) int {
	plan := rln.GroupPlan{}
	flags := flag.NewFlagSet("waku-node "+rlnGroupCommand, flag.ContinueOnError)
	flags.IntVar(&plan.Members, "members", 2, "`number` of members")
	flags.Uint64Var(&plan.UserMessageLimit, "limit", 100, "`messages` that each member may send in an epoch, 1 to 65535")
	flags.Int64Var(&plan.EpochSeconds, "epoch", 600, fmt.Sprintf("`seconds` in an epoch, 1 to %d", maxClientEpoch))
	out := flags.String("out", "", "`folder` for group.json and member-0.json, member-1.json, ...; existing files are kept")
	identifier := flags.String("identifier", defaultRLNIdentifier, "RLN identifier of the application, `text` of at most 32 bytes")
	err := flags.Parse(arguments)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0:
		return refuse(fmt.Errorf("unexpected argument %q", flags.Arg(0)), 2)
	case *out == "":
		return refuse(errors.New("-out is missing"), 2)
	case plan.EpochSeconds > maxClientEpoch:
		return refuse(fmt.Errorf("-epoch is %d, above %d: no client would open the group", plan.EpochSeconds, maxClientEpoch), 2)
	case len(*identifier) > len(plan.RLNIdentifier):
		return refuse(fmt.Errorf("-identifier has %d bytes, above %d", len(*identifier), len(plan.RLNIdentifier)), 2)
	}
	copy(plan.RLNIdentifier[:], *identifier)
	group, err := rln.WriteGroup(*out, plan)
	if err != nil {
		return refuse(err, 1)
	}
	tree, err := rln.NewTree(group)
	if err != nil {
		return refuse(err, 1)
	}
	defer tree.Close()
	made := struct {
		Folder     string      `json:"folder"`
		Members    int         `json:"members"`
		MerkleRoot rln.Element `json:"merkleRoot"`
	}{*out, plan.Members, tree.Root()}
	if err := json.NewEncoder(os.Stdout).Encode(made); err != nil {
		return refuse(err, 1)
	}
	return 0
}

func refuse(err error, status int) int {
	fmt.Fprintf(os.Stderr, "waku-node %s: %v\n", rlnGroupCommand, err)
	return status
}
