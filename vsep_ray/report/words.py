"""The words of the pages, each explained in a sentence or two where it stands."""

WORDS = {
    "SI-SDR": "How much louder a source is in its estimate than everything that is wrong with it, in dB, at "
    "whatever volume (scale-invariant signal-to-distortion ratio). 0 dB: as loud as the errors; 10 dB: ten "
    "times their power.",
    "SI-SDR improvement": "By how much that is more than of the mixture itself, taken as the estimate.",
    "SDR": "The same, with a wrong volume counted as an error: the median over windows of one second, as "
    "museval 4 computes it.",
    "SIR": "How much louder the source is than what came through of the others, in dB.",
    "ISR": "How true the source stayed to its place between the channels and to its tone, in dB.",
    "SAR": "How much louder the source is than noises that are in none of the sources, in dB.",
    "leakage": "Of silent references, which have no other score: how loud the estimate is nevertheless, "
    "relative to the mixture, in dB. Lower is better.",
    "floor": "The mixture itself, taken as the estimate of every source: to do nothing scores as much.",
    "oracle": "A mask computed from the true sources: about the best that masking the mixture can do.",
    "silent": "With an RMS below -60 dB re full scale.",
    "gain": "The common factor of all stems of a song: below 1 where a stem would have been too loud for "
    "the file format.",
    "remainder": "How loud that part of the mixture is which the model gave to no stem, relative to the "
    "mixture, in dB. Lower is better.",
    "confidence": "The SDR, in dB, that the model expects of its own stem. No reference has confirmed it: "
    "it serves to sort songs, and is no score.",
    "silent crops": "The share of crops with an RMS below -60 dB re full scale.",
    "active": "The share of frames of 50 ms that are not silent.",
    "LUFS": "Loudness as one hears it, relative to full scale (ITU-R BS.1770): of finished songs about -14.",
    "times the threshold": "How far a fault is beyond what a gate would let pass: 1.0 is just beyond.",
}
"""Their sentences by the words."""
