package chatsdk

import (
	"context"
	"log/slog"

	"google.golang.org/protobuf/proto"

	"chatsdk/abi"
	"chatsdk/internal/anchor"
	"chatsdk/internal/engine"
	"chatsdk/internal/fault"
	"chatsdk/internal/wasm"
	"chatsdk/keys"
	"chatsdk/storage/sqlite"
	"chatsdk/waku"
)

// Options of [Open]. Only StorageKey, and Path or Storage, have no default.
type Options struct {
	// Path is the database file; made if there is none. Its folder must exist.
	Path string
	// StorageKey protects the database: keys.Passphrase, keys.Raw, keys.Keyring or keys.Unprotected.
	StorageKey keys.Key
	// Peers are multiaddrs of Waku service nodes. Without any the client stays offline: nothing is discovered.
	Peers []string

	// ClusterID and ShardCount name the network. Defaults: 42 and 8, those of this project's service node.
	ClusterID  uint16
	ShardCount uint16
	// Waku are further settings of the default transport; its peers, network and logger are those above and below.
	Waku waku.Options
	// Protocol are the protocol's settings, which all have defaults. Its network is set here.
	Protocol *abi.Config
	// RLN is the membership with which the client publishes in a network with Rate Limiting Nullifiers, as chatsdk/waku/rln makes one. The default
	// transport makes its proofs; a Transport of your own is to be given it as its Prover. Protocol.RateLimit and Waku.Prover are left out then.
	// Default: none. The client takes it over, and Close closes it, as it does the storage. One that another client has is INVALID_ARGUMENT, and stays
	// that client's.
	RLN Membership
	// AcceptRollback opens an old copy all the same: all its sessions are marked lost, and can be repaired with the peers' consent.
	AcceptRollback bool

	// Storage is used instead of a file at Path. The client takes it over, and so it does the transport: Close closes them, and so does a
	// failure of Open.
	Storage abi.Storage
	// Transport is used instead of the default one.
	Transport abi.Transport
	// Anchor detects that the database is an old copy. Default: a file in $XDG_STATE_HOME/chatsdk, or in ~/.local/state/chatsdk, shared with the
	// SDK's other languages.
	Anchor RollbackAnchor
	// Clock and Entropy; defaults: the computer's.
	Clock   abi.Clock
	Entropy abi.Entropy

	// CacheFolder keeps the compiled protocol core, which saves half a second at each start. Default: chatsdk in the user's cache folder. Whoever
	// can write there can run code in this program.
	CacheFolder string
	// Logger gets lines that never hold secrets or contents. Default: none.
	Logger *slog.Logger

	// rateLimit is what RLN said.
	rateLimit *abi.RateLimit
}

// RollbackAnchor remembers, outside the database, how far it had come. A database whose sealed generation is smaller is an old copy: its keys
// were used already, and going on would use them twice (STATE_ROLLED_BACK). It must not travel with backups of the database.
type RollbackAnchor interface {
	// Read gives the generation last written for this database; false: none, so that an old copy cannot be told.
	Read(ctx context.Context, databaseID string) (generation uint64, known bool, err error)
	// Write is called after each commit, with the generation that is durable now. It never falls: after an accepted rollback it is above all
	// before.
	Write(ctx context.Context, databaseID string, generation uint64) error
	// Flush writes what is still held back. It is called once a rollback is accepted, before anything is published.
	Flush(ctx context.Context) error
	// Lock is called before Read: until Close no other client may use this database or a copy of it. It fails with DATABASE_LOCKED
	// (retryable) if one does.
	Lock(ctx context.Context, databaseID string) error
	// Close writes what is still held back, and releases the locks.
	Close(ctx context.Context) error
}

// NewFileAnchor keeps anchors in a folder, which is an absolute path.
func NewFileAnchor(folder string, logger *slog.Logger) (RollbackAnchor, error) {
	if folder == "" {
		return nil, fault.New(abi.ErrorCode_INVALID_ARGUMENT, "folder: must be an absolute path")
	}
	return anchor.New(folder, logger)
}

// withDefaults fills in what opens nothing yet.
func (o Options) withDefaults() (Options, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if err := o.checkRLN(); err != nil {
		return o, err
	}
	if o.ClusterID == 0 {
		o.ClusterID = 42
	}
	if o.ShardCount == 0 {
		o.ShardCount = 8
	}
	if o.Clock == nil {
		o.Clock = engine.SystemClock{}
	}
	if o.Entropy == nil {
		o.Entropy = engine.SystemEntropy{}
	}
	if o.CacheFolder == "" {
		o.CacheFolder = wasm.DefaultCacheFolder()
	}
	if o.Anchor == nil {
		file, err := anchor.New("", o.Logger)
		if err != nil {
			return o, err
		}
		o.Anchor = file
	}
	if o.Transport == nil {
		settings := o.Waku
		settings.Peers, settings.ClusterID, settings.ShardCount, settings.Logger = o.Peers, o.ClusterID, o.ShardCount, o.Logger
		if o.RLN != nil {
			settings.Prover = o.RLN
		}
		transport, err := waku.New(settings)
		if err != nil {
			return o, err
		}
		o.Transport = transport
	}
	return o, nil
}

func (o Options) openStorage() (abi.Storage, error) {
	if o.Storage != nil {
		return o.Storage, nil
	}
	if o.Path == "" {
		return nil, fault.New(abi.ErrorCode_INVALID_ARGUMENT, "Path: missing; name a database file, or give a Storage")
	}
	return sqlite.Open(o.Path, sqlite.Options{Create: true})
}

func (o Options) config() *abi.Config {
	config := &abi.Config{}
	if o.Protocol != nil {
		config = proto.CloneOf(o.Protocol)
	}
	config.ClusterId, config.ShardCount = uint32(o.ClusterID), uint32(o.ShardCount)
	if o.RLN != nil {
		config.RateLimit = o.rateLimit
	}
	return config
}
