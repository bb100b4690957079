// Opens a signed note with Go's own reader: open_note VKEY... < NOTE. Prints the text and how many of the keys have signed it.
package main

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/mod/sumdb/note"
)

func main() {
	var known []note.Verifier
	for _, vkey := range os.Args[1:] {
		verifier, err := note.NewVerifier(vkey)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		known = append(known, verifier)
	}
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		panic(err)
	}
	opened, err := note.Open(text, note.VerifierList(known...))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Printf("%d\n%s", len(opened.Sigs), opened.Text)
}
