export const systems = [];
