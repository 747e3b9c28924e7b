package archive

// zeros45 is 45 MB of zeros as bzip2 packs them (head -c 45000000 /dev/zero | bzip2 -9).
const zeros45 = "QlpoOTFBWSZTWckBtsgBWKtAIMAAEAAACCAAMMwFKaZSSFJsVJIUni7kinChIZIDbZA="
