package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// newMark is a file that exists until the engine has served from a new database once. The engine
// makes its tables one by one, and only if there is no database file yet. So an engine that is
// killed meanwhile leaves a file with which none can start again. No event is in such a file.
const newMark = databaseName + ".new"

// prepareDatabase makes the data directory ready for the engine. It sets aside a database whose
// making was cut short, and if there is none it writes the mark of a new one. A write-ahead log
// without a database is set aside too, because SQLite would take it for the new database's. fresh
// tells whether the engine will make a new database.
func (o EmbeddedOptions) prepareDatabase() (fresh bool, err error) {
	if o.InMemory {
		return false, nil
	}
	database, mark := filepath.Join(o.DataDir, databaseName), filepath.Join(o.DataDir, newMark)
	there, err := fileExists(database)
	if err != nil {
		return false, err
	}
	marked, err := fileExists(mark)
	if err != nil {
		return false, err
	}
	if there && !marked {
		return false, nil
	}
	aside := fmt.Sprintf("%s.unfinished-%d", database, time.Now().UnixNano())
	for _, suffix := range databaseSuffixes() {
		switch err := os.Rename(database+suffix, aside+suffix); {
		case err == nil:
			o.Logger.Warn("set aside a database whose making was cut short", "file", aside+suffix)
		case !errors.Is(err, fs.ErrNotExist):
			return false, fmt.Errorf("set an unfinished database aside: %w", err)
		}
	}
	if err := os.WriteFile(mark, []byte("The engine is making its database.\n"), 0o600); err != nil {
		return false, fmt.Errorf("mark the new database: %w", err)
	}
	return true, syncDir(o.DataDir)
}

// confirmDatabase is called once the engine serves. It makes the database readable to its owner
// only, because it holds the bodies of events, and removes the mark. It syncs the directory: if the
// mark came back after a power cut, the next start would set a database in use aside.
func confirmDatabase(dir string) error {
	for _, suffix := range databaseSuffixes() {
		err := os.Chmod(filepath.Join(dir, databaseName+suffix), 0o600)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("close the database to others: %w", err)
		}
	}
	err := os.Remove(filepath.Join(dir, newMark))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove the mark of a new database: %w", err)
	}
	return syncDir(dir)
}

// databaseSuffixes are the suffixes of SQLite's files. The database itself comes last, so that the
// next start finishes a move that was cut short.
func databaseSuffixes() []string { return []string{"-shm", "-wal", ""} }

func fileExists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look into the data directory: %w", err)
	}
	return true, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync the data directory: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync the data directory: %w", err)
	}
	return nil
}
