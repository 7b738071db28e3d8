/**
 * Classic BPF, run as the kernel's documentation describes it (Documentation/networking/filter.rst): an independent
 * second opinion on what an assembled program does. Only what a filter can need is here; everything else throws.
 */

/** Classes and sizes of instructions, as in include/uapi/linux/bpf_common.h. */
const LD = 0x00;
const JMP = 0x05;
const RET = 0x06;
const MISC = 0x07;

/**
 * Runs a program over a packet.
 *
 * @returns How many bytes of the packet are kept: 0 drops it.
 */
export function runBpf(program: Uint8Array, packet: Uint8Array): number {
  if (program.length === 0 || program.length % 8 !== 0) throw new Error("no whole instructions");
  const count = program.length / 8;
  const code = new DataView(program.buffer, program.byteOffset, program.byteLength);
  const data = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
  const little = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
  let accumulator = 0;
  let index = 0;
  let at = 0;
  // Jumps go forward only, so that a program ends after as many steps as it has.
  for (let steps = 0; steps < count; steps++) {
    if (at >= count) throw new Error(`instruction ${at} of ${count}`);
    const opcode = code.getUint16(at * 8, little);
    const [jt, jf] = [code.getUint8(at * 8 + 2), code.getUint8(at * 8 + 3)];
    const k = code.getUint32(at * 8 + 4, little);
    at++;
    switch (opcode & 0x07) {
      case LD:
        if (opcode === 0x20) {
          // BPF_W | BPF_ABS: network order; a load outside of the packet ends the program and drops the packet
          if (k + 4 > packet.length) return 0;
          accumulator = data.getUint32(k, false);
        } else if (opcode === 0x80) accumulator = packet.length; // BPF_W | BPF_LEN
        else throw new Error(`load 0x${opcode.toString(16)}`);
        break;
      case JMP: {
        if (opcode === 0x05) {
          at += k;
          break;
        }
        const holds = new Map<number, boolean>([
          [0x15, accumulator === k],
          [0x25, accumulator > k],
          [0x35, accumulator >= k],
          [0x45, (accumulator & k) !== 0],
          [0x1d, accumulator === index], // BPF_JEQ | BPF_X
        ]).get(opcode);
        if (holds === undefined) throw new Error(`jump 0x${opcode.toString(16)}`);
        at += holds ? jt : jf;
        break;
      }
      case RET:
        if (opcode !== 0x06) throw new Error(`return 0x${opcode.toString(16)}`);
        return Math.min(k, packet.length);
      case MISC:
        if (opcode !== 0x07) throw new Error(`instruction 0x${opcode.toString(16)}`);
        index = accumulator; // BPF_TAX
        break;
      default:
        throw new Error(`instruction 0x${opcode.toString(16)}`);
    }
  }
  throw new Error("the program does not return");
}
