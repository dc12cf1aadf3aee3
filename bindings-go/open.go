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
// TRANSPORT_FAILED. The context is for opening alone; Close ends the client.
func Open(ctx context.Context, options Options) (client *Client, err error) {
	given := options
	options, err = options.withDefaults()
	if err == nil {
		options.Storage, err = options.openStorage()
	}
	if err != nil {
		if closing := release(context.WithoutCancel(ctx), given); closing != nil && given.Logger != nil {
			given.Logger.Warn("closing", "error", closing)
		}
		return nil, err
	}
	client = newClient(options)
	if err := client.open(ctx); err != nil {
		if closing := client.Close(); closing != nil {
			options.Logger.Warn("closing", "error", closing)
		}
		return nil, err
	}
	return client, nil
}

func (c *Client) open(ctx context.Context) error {
	compiled, err := wasm.Shared(ctx, module.Code, wasm.Options{CacheFolder: c.options.CacheFolder, Logger: c.options.Logger})
	if err != nil {
		return err
	}
	header, hostKey, err := c.unlock(ctx, compiled)
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
	c.engine, c.chat = driver, abi.NewChat(driver)
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
	if err := c.openMembership(driver.TakeCredentials()); err != nil {
		return err
	}
	return driver.Start(ctx, &abi.Start{RolledBack: rolledBack, SeenGeneration: seen})
}

// unlock gives the header, of a new database if there is none, and the key that opens it.
func (c *Client) unlock(ctx context.Context, compiled *wasm.Module) (*abi.VaultHeader, []byte, error) {
	stored, err := c.options.Storage.GetHeader(ctx)
	if err != nil {
		return nil, nil, err
	}
	if header := stored.GetHeader(); header != nil {
		hostKey, err := c.options.StorageKey.Derive(ctx, header.GetDerivation())
		return proto.CloneOf(header), hostKey, err
	}
	answer, err := c.options.Storage.Read(ctx, &abi.Read{Read: &abi.Read_Scan{Scan: &abi.Scan{Limit: 1}}})
	if err != nil {
		return nil, nil, err
	}
	if len(answer.GetRecords()) > 0 {
		return nil, nil, fault.New(abi.ErrorCode_DATABASE_CORRUPT, "database: it has records but no header; restore a backup")
	}
	derivation, err := c.options.StorageKey.NewDerivation(ctx)
	if err != nil {
		return nil, nil, err
	}
	hostKey, err := c.options.StorageKey.Derive(ctx, derivation)
	if err != nil {
		return nil, nil, err
	}
	header, err := engine.CreateVault(ctx, compiled, c.options.Entropy, derivation, hostKey)
	if err == nil {
		err = c.options.Storage.PutHeader(ctx, header)
	}
	if err != nil {
		clear(hostKey)
		return nil, nil, err
	}
	return header, hostKey, nil
}

// release closes what a client takes over.
func release(ctx context.Context, options Options) error {
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
