// Reads an export or a proof of marketbot with Go's own transparency log packages: note opens the signed heads, tlog
// recomputes the tree from the entries, checks inclusion and consistency, and reads our hash tiles.
//
//	verify FOLDER VKEY...
//
// C2SP tiles lie at tile/<level>/... where sumdb's lie at tile/<height>/<level>/...; nothing else is adapted.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

func must(err error, what string) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
		os.Exit(1)
	}
}

func fail(what string) { must(fmt.Errorf("it does not hold"), what) }

func read(parts ...string) []byte {
	data, err := os.ReadFile(filepath.Join(parts...))
	must(err, "read")
	return data
}

// head opens a note with the known keys and reads origin, size and root.
func head(data []byte, keys note.Verifiers) (string, tlog.Tree) {
	opened, err := note.Open(data, keys)
	must(err, "note")
	lines := strings.Split(opened.Text, "\n")
	size, err := strconv.ParseInt(lines[1], 10, 64)
	must(err, "size")
	root, err := tlog.ParseHash(lines[2])
	must(err, "root")
	return lines[0], tlog.Tree{N: size, Hash: root}
}

func tilePath(tile tlog.Tile) string {
	return "tile/" + strings.TrimPrefix(tile.Path(), fmt.Sprintf("tile/%d/", height))
}

type tiles struct{ folder string }

func (t tiles) Height() int { return height }

func (t tiles) ReadTiles(list []tlog.Tile) ([][]byte, error) {
	found := make([][]byte, len(list))
	for place, tile := range list {
		data, err := os.ReadFile(filepath.Join(t.folder, tilePath(tile)))
		if err != nil {
			return nil, err
		}
		found[place] = data
	}
	return found, nil
}

func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}

// records reads the bundles of entries of a tree.
func records(folder string, size int64) [][]byte {
	var found [][]byte
	for first := int64(0); first < size; first += 1 << height {
		width := int(size - first)
		if width > 1<<height {
			width = 1 << height
		}
		tile := tlog.Tile{H: height, L: 0, N: first >> height, W: width}
		data := read(folder, strings.Replace(tilePath(tile), "tile/0/", "tile/entries/", 1))
		for len(data) > 0 {
			length := int(binary.BigEndian.Uint16(data))
			found = append(found, data[2:2+length])
			data = data[2+length:]
		}
	}
	if int64(len(found)) != size {
		fail("number of entries")
	}
	return found
}

func export(folder string, newest tlog.Tree, heads []tlog.Tree) {
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		found := make([]tlog.Hash, len(indexes))
		for place, index := range indexes {
			found[place] = stored[index]
		}
		return found, nil
	})
	all := records(folder, newest.N)
	for number, record := range all {
		hashes, err := tlog.StoredHashes(int64(number), record, reader)
		must(err, "hashes")
		stored = append(stored, hashes...)
	}
	for _, tree := range heads {
		root, err := tlog.TreeHash(tree.N, reader)
		must(err, "root")
		if root != tree.Hash {
			fail(fmt.Sprintf("root of %d entries", tree.N))
		}
	}
	ours := tlog.TileHashReader(newest, tiles{folder})
	for number, record := range all {
		proof, err := tlog.ProveRecord(newest.N, int64(number), ours)
		must(err, "tiles")
		must(tlog.CheckRecord(proof, newest.N, newest.Hash, int64(number), tlog.RecordHash(record)), "record")
	}
	for place, tree := range heads[:len(heads)-1] {
		next := heads[place+1]
		proof, err := tlog.ProveTree(next.N, tree.N, ours)
		must(err, "tiles")
		must(tlog.CheckTree(proof, next.N, next.Hash, tree.N, tree.Hash), "consistency")
	}
	fmt.Printf("export: %d entries, %d heads\n", newest.N, len(heads))
}

func proofs(folder string, newest tlog.Tree, keys note.Verifiers) {
	files, err := filepath.Glob(filepath.Join(folder, "entries", "*.json"))
	must(err, "entries")
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		parts := bytes.SplitN(read(folder, "proofs", name+".tlog-proof"), []byte("\n\n"), 2)
		lines := strings.Split(string(parts[0]), "\n")
		if lines[0] != "c2sp.org/tlog-proof@v1" || lines[1] != "index "+name {
			fail("header of proof " + name)
		}
		var path tlog.RecordProof
		for _, line := range lines[2:] {
			hash, err := tlog.ParseHash(line)
			must(err, "proof")
			path = append(path, hash)
		}
		index, err := strconv.ParseInt(name, 10, 64)
		must(err, "index")
		if _, tree := head(parts[1], keys); tree != newest {
			fail("head of proof " + name)
		}
		must(tlog.CheckRecord(path, newest.N, newest.Hash, index, tlog.RecordHash(read(file))), "record "+name)
	}
	fmt.Printf("proof: %d entries of %d\n", len(files), newest.N)
}

func main() {
	var known []note.Verifier
	for _, text := range os.Args[2:] {
		verifier, err := note.NewVerifier(text)
		must(err, "key")
		known = append(known, verifier)
	}
	folder, keys := os.Args[1], note.VerifierList(known...)
	origin, newest := head(read(folder, "checkpoint"), keys)
	names, err := filepath.Glob(filepath.Join(folder, "checkpoints", "*.txt"))
	must(err, "checkpoints")
	var heads []tlog.Tree
	for _, name := range names {
		who, tree := head(read(name), keys)
		if who != origin {
			fail("origin of " + name)
		}
		heads = append(heads, tree)
	}
	sort.Slice(heads, func(i, j int) bool { return heads[i].N < heads[j].N })
	if heads[len(heads)-1] != newest {
		fail("newest head")
	}
	fmt.Printf("root %s\n", base64.StdEncoding.EncodeToString(newest.Hash[:]))
	if _, err := os.Stat(filepath.Join(folder, "tile")); err == nil {
		export(folder, newest, heads)
	} else {
		proofs(folder, newest, keys)
	}
}
