package attach

import (
	"bytes"
	"strings"
)

// Sequence is how many letters of a nucleotide sequence in a row count as genomic data. An
// oligonucleotide that a report names, such as a primer, is shorter.
const Sequence = 60

// IsGenomic reports sequence and variant files by their text: FASTA, FASTQ, SAM, VCF, GVF,
// the raw files of genotyping services, and bare sequences.
func IsGenomic(text []byte) bool {
	head := text[:min(len(text), 64<<10)]
	for _, mark := range []string{"##fileformat=VCF", "##gvf-version", "##gff-version", "@HD\tVN:", "@SQ\tSN:", "LOCUS       "} {
		if bytes.HasPrefix(head, []byte(mark)) || bytes.Contains(head, []byte("\n"+mark)) {
			return true
		}
	}
	return genotypes(head) || HasSequence(head)
}

// HasSequence reports a run of at least Sequence nucleotide letters, line breaks and the
// numbers of a formatted sequence not counted.
func HasSequence(text []byte) bool {
	run := 0
	for _, c := range text {
		switch c {
		case 'A', 'C', 'G', 'T', 'U', 'N', 'a', 'c', 'g', 't', 'u', 'n':
			if run++; run >= Sequence {
				return true
			}
		case '\n', '\r':
		default:
			run = 0
		}
	}
	return false
}

// genotypes reports a table of variants: "rs123<tab>1<tab>5678<tab>AG", three lines of it.
func genotypes(head []byte) bool {
	found := 0
	for line := range strings.Lines(string(head)) {
		f := strings.FieldsFunc(strings.TrimSpace(line), func(r rune) bool { return r == '\t' || r == ',' || r == ' ' || r == '"' })
		if len(f) < 4 || len(f[0]) < 4 || (!strings.HasPrefix(f[0], "rs") && !strings.HasPrefix(f[0], "i")) || strings.Trim(f[0][2:], "0123456789") != "" {
			continue
		}
		if strings.Trim(strings.Join(f[3:], ""), "ACGTDI-0") == "" {
			if found++; found >= 3 {
				return true
			}
		}
	}
	return false
}
