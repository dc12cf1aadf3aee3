package chatsdk

import (
	"context"
	"errors"

	"google.golang.org/protobuf/proto"

	"chatsdk/abi"
	"chatsdk/internal/engine"
	"chatsdk/internal/fault"
	"chatsdk/internal/module"
	"chatsdk/internal/wasm"
)

// Open opens a database, or makes a new one where there is none, and connects. It fails with WRONG_KEY, KEYRING_UNAVAILABLE,
// DATABASE_LOCKED, DATABASE_CORRUPT, STATE_ROLLED_BACK, UNSUPPORTED_VERSION, STORAGE_FULL, STORAGE_FAILED, INVALID_ARGUMENT,
// TRANSPORT_FAILED; with CLOSED if RLN was a membership of a client that is closed. The database is as it was then; where there was none, an empty file
// may be left, which is bound to no key. The context is for opening alone, which it ends with ABORTED; Close ends the client.
func Open(ctx context.Context, options Options) (*Client, error) {
	failure := options.takeRLN()
	if failure == nil {
		failure = fault.OfContext(ctx)
	}
	client := newClient(options)
	opened := false
	// Also if a part of the caller's panics: the database must not stay locked.
	defer func() {
		if opened {
			return
		}
		if closing := client.Close(); closing != nil && client.options.Logger != nil {
			client.options.Logger.Warn("closing", "error", closing)
		}
	}()
	if failure == nil {
		failure = client.prepare()
	}
	if failure == nil {
		failure = client.open(ctx)
	}
	if failure != nil {
		return nil, namedOption(failure, client.options)
	}
	opened = true
	return client, nil
}

// prepare fills in the defaults, and opens the storage last.
func (c *Client) prepare() (err error) {
	if c.options, err = c.options.withDefaults(); err != nil {
		return err
	}
	if err := c.options.openGiven(); err != nil {
		return err
	}
	storage, err := c.options.openStorage()
	if err != nil {
		return err
	}
	c.options.Storage = storage
	return nil
}

func (c *Client) open(ctx context.Context) error {
	compiled, err := wasm.Shared(ctx, module.Code, wasm.Options{CacheFolder: c.options.CacheFolder, Logger: c.options.Logger})
	if err != nil {
		return err
	}
	header, isNew, hostKey, err := c.unlock(ctx, compiled)
	if err != nil {
		return err
	}
	parts := engine.Parts{
		Module: compiled, Config: c.options.config(), Header: header, HostKey: hostKey, Storage: c.options.Storage, Transport: c.options.Transport,
		Clock: c.options.Clock, Entropy: c.options.Entropy, Anchor: c.options.Anchor, Logger: c.options.Logger,
		OnEvent: c.onEvent, OnConnection: c.onConnection,
	}
	driver, err := engine.New(ctx, parts)
	if err != nil {
		clear(hostKey)
		clear(parts.Config.GetRateLimit().GetCredentials())
		return err
	}
	c.engine, c.chat = driver, abi.NewChat(core{driver})
	if err := c.openKept(driver.TakeCredentials()); err != nil {
		return err
	}
	if err := c.options.Anchor.Lock(ctx, header.GetDatabaseId()); err != nil {
		return err
	}
	seen, known, err := c.options.Anchor.Read(ctx, header.GetDatabaseId())
	if err != nil {
		return err
	}
	if !known {
		seen = 0
	}
	rolledBack := seen > driver.Generation()
	if rolledBack && !c.options.AcceptRollback {
		return fault.New(abi.ErrorCode_STATE_ROLLED_BACK,
			"database: an old copy (commit %d, this machine has seen %d); open the newest, or set AcceptRollback and repair the conversations",
			driver.Generation(), seen)
	}
	// Not before all that may fail: the header binds the database to its key. From there on the end of ctx is no reason to fail any more.
	if isNew {
		if err := fault.OfContext(ctx); err != nil {
			return err
		}
		ctx = context.WithoutCancel(ctx)
		if err := c.options.Storage.PutHeader(ctx, header); err != nil {
			return err
		}
	}
	return driver.Start(ctx, &abi.Start{RolledBack: rolledBack, SeenGeneration: seen})
}

// unlock gives the header, a new one, which is not stored yet, if there is none, and the key that opens the database.
func (c *Client) unlock(ctx context.Context, compiled *wasm.Module) (header *abi.VaultHeader, isNew bool, hostKey []byte, err error) {
	stored, err := c.options.Storage.GetHeader(ctx)
	if err != nil {
		return nil, false, nil, err
	}
	if header := stored.GetHeader(); header != nil {
		hostKey, err := c.options.StorageKey.Derive(ctx, header.GetDerivation())
		return proto.CloneOf(header), false, hostKey, err
	}
	answer, err := c.options.Storage.Read(ctx, &abi.Read{Read: &abi.Read_Scan{Scan: &abi.Scan{Limit: 1}}})
	if err != nil {
		return nil, false, nil, err
	}
	if len(answer.GetRecords()) > 0 {
		return nil, false, nil, fault.New(abi.ErrorCode_DATABASE_CORRUPT, "database: it has records but no header; restore a backup")
	}
	derivation, err := c.options.StorageKey.NewDerivation(ctx)
	if err != nil {
		return nil, false, nil, err
	}
	if hostKey, err = c.options.StorageKey.Derive(ctx, derivation); err != nil {
		return nil, false, nil, err
	}
	header, err = engine.CreateVault(ctx, compiled, c.options.Entropy, derivation, hostKey)
	if err != nil {
		clear(hostKey)
		return nil, false, nil, err
	}
	return header, true, hostKey, nil
}

// release closes what a client takes over.
func release(ctx context.Context, options Options) error {
	clear(options.rateLimit.GetCredentials())
	var failures []error
	if options.Transport != nil {
		failures = append(failures, options.Transport.Stop(ctx))
	}
	if options.RLN != nil {
		failures = append(failures, options.RLN.Close())
	}
	if options.Anchor != nil {
		failures = append(failures, options.Anchor.Close(ctx))
	}
	if options.Storage != nil {
		failures = append(failures, options.Storage.Close(ctx))
	}
	return errors.Join(failures...)
}
