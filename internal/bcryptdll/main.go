//go:build linux && amd64

// Command bcryptdll writes the bcryptprimitives.dll that Wine 8 lacks and that every Windows program built by Go needs at its start.
//
// The file holds no code: its one export, ProcessPrng, forwards to ADVAPI32.SystemFunction036 (RtlGenRandom), which takes the same
// arguments and fills the same buffer. Windows 64-bit on x86 only, which is what the Wine rigs run.
//
// Usage: bcryptdll FILE
package main

import (
	"bytes"
	"debug/pe"
	"encoding/binary"
	"fmt"
	"os"
)

const (
	secRVA   = 0x1000 // where the loader maps the one section, and the alignment of sections in memory
	secOff   = 0x200  // where the section lies in the file, and the alignment in the file
	peOffset = 0x40   // the PE header follows the DOS header at once
)

// exportDirectory is IMAGE_EXPORT_DIRECTORY, which debug/pe does not declare.
type exportDirectory struct {
	Characteristics, TimeDateStamp uint32
	MajorVersion, MinorVersion     uint16
	Name, Base                     uint32
	NumberOfFunctions              uint32
	NumberOfNames                  uint32
	AddressOfFunctions             uint32
	AddressOfNames                 uint32
	AddressOfNameOrdinals          uint32
}

// exports is the whole section. A function address that points back into the export directory is a forwarder: the text it points at
// names the function in the other DLL.
type exports struct {
	Dir       exportDirectory
	Functions [1]uint32
	Names     [1]uint32
	Ordinals  [2]uint16 // one, and one to keep the texts aligned
	DLL       [24]byte
	Function  [16]byte
	Forwarder [32]byte
}

func section() exports {
	var e exports
	const (
		funcs = secRVA + 40 // the size of exportDirectory
		names = funcs + 4
		ords  = names + 4
		dll   = ords + 4
		fn    = dll + uint32(len(e.DLL))
		fwd   = fn + uint32(len(e.Function))
	)
	e.Dir = exportDirectory{
		Name: dll, Base: 1, NumberOfFunctions: 1, NumberOfNames: 1,
		AddressOfFunctions: funcs, AddressOfNames: names, AddressOfNameOrdinals: ords,
	}
	e.Functions[0] = fwd
	e.Names[0] = fn
	copy(e.DLL[:], "bcryptprimitives.dll")
	copy(e.Function[:], "ProcessPrng")
	copy(e.Forwarder[:], "ADVAPI32.SystemFunction036")
	return e
}

func image() ([]byte, error) {
	sec := section()
	size := uint32(binary.Size(sec))

	dos := make([]byte, peOffset)
	copy(dos, "MZ")
	binary.LittleEndian.PutUint32(dos[0x3c:], peOffset)

	opt := pe.OptionalHeader64{
		Magic:                 0x20b,
		SizeOfInitializedData: secOff,
		ImageBase:             0x7ff000000,
		SectionAlignment:      secRVA,
		FileAlignment:         secOff,
		// Windows 6.0, as a program for Vista declares it.
		MajorOperatingSystemVersion: 6,
		MajorSubsystemVersion:       6,
		SizeOfImage:                 2 * secRVA,
		SizeOfHeaders:               secOff,
		Subsystem:                   pe.IMAGE_SUBSYSTEM_WINDOWS_CUI,
		DllCharacteristics:          pe.IMAGE_DLLCHARACTERISTICS_DYNAMIC_BASE | pe.IMAGE_DLLCHARACTERISTICS_NX_COMPAT,
		SizeOfStackReserve:          0x1000,
		SizeOfStackCommit:           0x1000,
		SizeOfHeapReserve:           0x1000,
		SizeOfHeapCommit:            0x1000,
		NumberOfRvaAndSizes:         16,
	}
	opt.DataDirectory[pe.IMAGE_DIRECTORY_ENTRY_EXPORT] = pe.DataDirectory{VirtualAddress: secRVA, Size: size}

	var b bytes.Buffer
	for _, part := range []any{
		dos,
		[4]byte{'P', 'E'},
		pe.FileHeader{
			Machine:              pe.IMAGE_FILE_MACHINE_AMD64,
			NumberOfSections:     1,
			SizeOfOptionalHeader: uint16(binary.Size(opt)),
			Characteristics:      pe.IMAGE_FILE_EXECUTABLE_IMAGE | pe.IMAGE_FILE_LARGE_ADDRESS_AWARE | pe.IMAGE_FILE_DLL,
		},
		opt,
		pe.SectionHeader32{
			Name:             [8]uint8{'.', 'r', 'd', 'a', 't', 'a'},
			VirtualSize:      size,
			VirtualAddress:   secRVA,
			SizeOfRawData:    secOff,
			PointerToRawData: secOff,
			Characteristics:  pe.IMAGE_SCN_CNT_INITIALIZED_DATA | pe.IMAGE_SCN_MEM_READ,
		},
	} {
		if err := binary.Write(&b, binary.LittleEndian, part); err != nil {
			return nil, err
		}
	}
	b.Write(make([]byte, secOff-b.Len()))
	if err := binary.Write(&b, binary.LittleEndian, sec); err != nil {
		return nil, err
	}
	b.Write(make([]byte, 2*secOff-b.Len()))
	return b.Bytes(), nil
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: bcryptdll FILE")
		os.Exit(2)
	}
	dll, err := image()
	if err == nil {
		err = os.WriteFile(os.Args[1], dll, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bcryptdll:", err)
		os.Exit(1)
	}
}
